from __future__ import annotations

from mobiledeploy.mixed import Plan
from mobiledeploy.report.plan_table import plan_notes, plan_table


def entry(name: str, precision: str = "int8", **more: object) -> dict[str, object]:
    return {"name": name, "precision": precision, "winograd": True, "sgemm": True, **more}


CONVOLUTION = entry(
    "conv", type="Convolution", before=2.0, after=1.23456, error_share=0.25, has_choice=True, why="int8 pays"
)
REST = [
    entry(name, "fp16", type="Split", before=0.25, after=0.5, error_share=0.0, has_choice=False)
    for name in ("split", "concat")
]


def plan(*layers: dict[str, object], **more: object) -> Plan:
    return Plan({"schema": 1, "kind": "plan", "layers": list(layers), **more})


def test_layers_with_a_choice_and_all_others_in_sum() -> None:
    columns, rows = plan_table(plan(REST[0], {**CONVOLUTION, "winograd": False}, REST[1], unit="ms"))
    assert columns[4:6] == ["before (ms)", "after (ms)"]
    assert rows[0] == {
        "layer": "conv",
        "type": "Convolution",
        "precision": "int8",
        "algorithms": "no winograd",
        "before (ms)": "2.000",
        "after (ms)": "1.235",
        "error share (%)": "25.0",
        "why": "int8 pays",
    }
    assert rows[1]["layer"] == "2 layers without a choice"
    assert (rows[1]["before (ms)"], rows[1]["after (ms)"]) == ("0.500", "1.000")
    assert len(rows) == 2


def test_an_edited_plan_may_lack_all_but_choices() -> None:
    columns, [row] = plan_table(plan(entry("conv")))
    assert columns[4:6] == ["before", "after"]
    assert [row[column] for column in columns] == ["conv", "", "int8", "any", "", "", "", ""]
    assert plan_notes(plan(entry("conv"))) == []


def test_counts_are_not_called_times() -> None:
    counted = plan(CONVOLUTION, unit="million instructions", wholes={"fp32": 90.0, "mixed": 60.0})
    assert plan_table(counted)[0][4] == "before (M instructions)"
    assert plan_notes(counted) == ["Whole network (M instructions): fp32 90.00, mixed 60.00."]


def test_notes_say_for_what_it_was_made() -> None:
    notes = plan_notes(
        plan(
            CONVOLUTION,
            device={"label": "Pixel 8"},
            threads=2,
            bound={"min_iou": 0.99, "max_mae": 0.002},
            figures={"mixed": {"min_iou": {"mean": 0.99512}, "max_mae": {"mean": 0.0011}}},
            apart=["grouped", "other"],
            channels={"conv": 16},
            advice=["int8 will pay little."],
        )
    )
    assert notes == [
        "Made for Pixel 8, 2 threads.",
        "Bound on the mean over the calibration inputs, against fp32: min iou 0.99 (here 0.9951), "
        "max mae 0.002 (here 0.0011).",
        "Grouped convolutions taken apart, for int8: grouped, other.",
        "Channels padded with zeros: conv to 16.",
        "int8 will pay little.",
    ]
