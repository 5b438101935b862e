from __future__ import annotations

import pytest

from mobiledeploy.report.run_table import footnotes, run_table


def test_a_row_by_hand(make_run) -> None:
    columns, rows = run_table([make_run({})])
    assert columns == ["model", "precision", "model size (M)", "time (ms)", "p90 (ms)", "mask IoU vs fp32"]
    assert [rows[0][column] for column in columns] == ["tiny", "fp32", "3.34", "3.00", "4.60", "0.9999"]


def test_columns_that_say_nothing_are_left_out(make_run) -> None:
    assert "threads" in run_table([make_run({}, {"threads": 2})])[0]
    assert "device" in run_table([make_run({}), make_run({}, label="Galaxy S8+")])[0]


def test_without_a_mask_the_error_is_shown(make_run, accuracy) -> None:
    columns, rows = run_table([make_run({"accuracy": accuracy})])
    assert columns[-1] == "max error vs fp32"
    assert rows[0]["max error vs fp32"] == "2.0e-05"


def test_an_untrained_network_has_no_iou(make_run) -> None:
    run = make_run({"model": "trained"}, {"untrained": True})
    columns, rows = run_table([run])
    assert columns[1] == "weights"
    assert [row["weights"] for row in rows] == ["trained", "untrained"]
    assert [row.get("mask IoU vs fp32") for row in rows] == ["0.9999", None]
    assert "Untrained" in " ".join(footnotes([run]))
    assert "Untrained" not in " ".join(footnotes([make_run({})]))


def test_emulated_runs_have_no_times(make_run) -> None:
    run = make_run({"times_ms": []}, kind="virtual", timed=False)
    assert "time (ms)" not in run_table([run])[1][0]
    assert "no latencies" in " ".join(footnotes([run]))


@pytest.mark.parametrize(("kind", "said"), [("virtual", True), ("usb", False)])
def test_a_virtual_phone_is_called_one(make_run, kind: str, said: bool) -> None:
    assert ("this computer's" in " ".join(footnotes([make_run({}, kind=kind)]))) is said


def test_noise_is_called_noise(make_run, accuracy) -> None:
    noise = accuracy | {"samples": {"source": "noise", "count": 4}}
    assert "noise" in " ".join(footnotes([make_run({"accuracy": noise})]))
