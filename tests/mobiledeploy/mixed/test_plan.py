from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.errors import UsageError
from mobiledeploy.mixed import Plan, read_plan
from mobiledeploy.mixed.plan import write_plan
from mobiledeploy.mixed.rewriting import Rewriting
from ncnn_tools.mixed import Choice


def entry(name: str = "conv", **changes: object) -> dict[str, object]:
    return {"name": name, "precision": "int8", "winograd": True, "sgemm": False, **changes}


def document(*layers: dict[str, object], **changes: object) -> dict[str, object]:
    return {"schema": 1, "kind": "plan", "layers": list(layers) or [entry()], **changes}


def written(path: Path, value: object) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.builds(Choice, st.sampled_from(["fp32", "fp16", "int8"]), st.booleans(), st.booleans()),
    ),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.integers(1, 64)),
)
def test_round_trip(
    tmp_path_factory, choices: dict[str, Choice], apart: list[str], widths: dict[str, int]
) -> None:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    layers = [
        entry(name, precision=choice.precision, winograd=choice.winograd, sgemm=choice.sgemm, why='"or"')
        for name, choice in choices.items()
    ]
    plan = Plan({**document(apart=apart, channels=widths), "layers": layers})
    write_plan(plan, path)
    found = read_plan(path)
    assert found == plan
    assert (found.choices, found.rewriting) == (choices, Rewriting(apart, widths))
    # One line a layer, so that plans can be compared as texts.
    assert len(path.read_text().splitlines()) >= len(layers)


def test_one_line_a_layer(tmp_path: Path) -> None:
    write_plan(Plan(document(entry("a"), entry("b"), bound={"min_iou": 0.99})), tmp_path / "plan.json")
    lines = (tmp_path / "plan.json").read_text().splitlines()
    assert [line for line in lines if '"precision"' in line] == [
        f"  {json.dumps(entry('a'))},",
        f"  {json.dumps(entry('b'))}",
    ]


def test_choices_alone_are_enough(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path / "plan.json", document(entry("a"))))
    assert plan.choices == {"a": Choice("int8", sgemm=False)}
    assert not plan.rewriting


def test_a_bundles_plan(tmp_path: Path) -> None:
    written(tmp_path / "mixed.plan.json", document())
    assert read_plan(tmp_path) == read_plan(tmp_path / "mixed.plan.json")


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ([], "not a plan of schema 1"),
        ({"schema": 1, "kind": "run"}, "not a plan of schema 1"),
        (document(schema=2), "not a plan of schema 1"),
        ({"schema": 1, "kind": "plan"}, "has a list of layers"),
        (document(layers={"conv": "int8"}), "has a list of layers"),
        (document(entry(), "conv"), "layer 2: it should be an object with a name"),
        (document({"precision": "int8"}), "layer 1: it should be an object with a name"),
        (document(entry(precision="int4")), "layer 1: conv: the precision is fp32, fp16, int8, not 'int4'"),
        (document(entry(precision=["int8"])), "conv: the precision is"),
        (
            document({"name": "conv", "precision": "int8", "sgemm": True}),
            "conv: winograd is true or false, not None",
        ),
        (document(entry(sgemm="no")), "conv: sgemm is true or false, not 'no'"),
        (document(entry(before="fast")), "conv: before is a number, not 'fast'"),
        (document(entry("a"), entry("b"), entry("a")), "layer 'a' stands there twice"),
        (document(channels=[16]), "channels should map names to whole numbers"),
        (document(channels={"conv": 16.5}), "channels should map names to whole numbers"),
        (document(apart="conv"), "apart should be a list of names"),
        (document(apart=[1]), "apart should be a list of names"),
        (document(bound={"min_iou": "high"}), "bound should hold numbers"),
        (document(wholes=[1.0]), "wholes should hold numbers"),
        (document(figures={"mixed": {"min_iou": 0.9}}), "figures should hold numbers"),
        (document(device="a phone"), "device should be an object"),
        (document(advice="none"), "advice should be a list"),
    ],
)
def test_what_is_no_plan(tmp_path: Path, damaged: object, message: str) -> None:
    file = written(tmp_path / "plan.json", damaged)
    with pytest.raises(UsageError) as caught:
        read_plan(file)
    assert str(file) in caught.value.message
    assert message in caught.value.message


@pytest.mark.parametrize(
    "path", [lambda folder: folder / "absent.json", lambda folder: folder], ids=["a file", "a bundle"]
)
def test_a_plan_that_is_not_there(tmp_path: Path, path: Callable[[Path], Path]) -> None:
    with pytest.raises(UsageError, match="can't be read: No such file") as caught:
        read_plan(path(tmp_path))
    assert "--precision mixed" in caught.value.hint


def test_text_of_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(UsageError, match="not JSON"):
        read_plan(tmp_path / "plan.json")
