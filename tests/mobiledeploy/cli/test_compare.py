from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mobiledeploy.benchmark import write_run


@pytest.fixture
def run(make_run, tmp_path: Path) -> Path:
    """A run whose int8 is 30 % slower than fp32, in each of six launches."""
    generator = np.random.default_rng(0)
    fp32 = generator.uniform(10, 10.2, 120)
    layout = {"launch": np.repeat(np.arange(6), 20).tolist(), "round": np.tile(np.arange(20), 6).tolist()}
    write_run(
        make_run(
            {"times_ms": fp32.tolist(), **layout},
            {"precision": "int8", "times_ms": (fp32 * 1.3).tolist(), **layout},
        ),
        tmp_path / "run.json",
    )
    return tmp_path / "run.json"


def test_markdown(command, run: Path) -> None:
    outcome = command("compare", f"{run}:fp32-1t", f"{run}:int8-1t", "--format", "markdown")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == (
        "| model | A | B | A (ms) | B (ms) | B / A | 95 % interval | verdict |"
    )
    assert outcome.out.splitlines()[2] == (
        "| tiny | fp32-1t | int8-1t | 10.1 | 13.1 | 1.300 | 1.300–1.300 | slower |"
    )


def test_json_is_the_document_alone(command, run: Path) -> None:
    outcome = command("compare", f"{run}:fp32-1t", f"{run}:int8-1t", "--format", "json")
    document = json.loads(outcome.out)
    assert document["rows"][0]["ratio"]["ratio"] == pytest.approx(1.3)
    assert document["rows"][0]["verdict"] == "slower"


@pytest.mark.parametrize(("allowed", "code"), [("5%", 1), ("29", 1), ("31%", 0)])
def test_a_regression_ends_with_1(command, run: Path, allowed: str, code: int) -> None:
    outcome = command("compare", f"{run}:fp32-1t", f"{run}:int8-1t", "--max-regression", allowed)
    assert outcome.code == code
    assert "slower" in outcome.out
    assert ("at least 30.0%" in outcome.err) is (code == 1)


def test_faster_is_no_regression(command, run: Path) -> None:
    outcome = command("compare", f"{run}:int8-1t", f"{run}:fp32-1t", "--max-regression", "0%")
    assert outcome.code == 0
    assert "faster" in outcome.out


@pytest.mark.parametrize("text", ["much", "-1", "nan%", ""])
def test_what_is_no_percentage(command, run: Path, text: str) -> None:
    outcome = command("compare", str(run), str(run), f"--margin={text}")
    assert outcome.code == 2
    assert "not a percentage" in outcome.err


def test_different_phones_are_refused(command, run: Path, make_run, tmp_path: Path) -> None:
    write_run(make_run(label="Galaxy S8"), tmp_path / "other.json")
    outcome = command("compare", run, tmp_path / "other.json")
    assert outcome.code == 2
    assert "Galaxy S8" in outcome.err
    assert command("compare", run, tmp_path / "other.json", "--ignore-context").code == 0


@pytest.mark.parametrize(("allowed", "code"), [("1%", 1), ("2%", 0)])
def test_more_instructions_end_with_1(command, make_run, counted, tmp_path: Path, allowed, code) -> None:
    for name, median in (("a", 1_000_000), ("b", 1_015_000)):
        write_run(make_run(counted(median), timed=False), tmp_path / f"{name}.json")
    files = (tmp_path / "a.json", tmp_path / "b.json")
    outcome = command("compare", *files, "--max-regression", allowed, "--format", "markdown")
    assert outcome.code == code
    assert "| tiny | fp32-1t | fp32-1t | 1.00 | 1.01 | 1.0150 | the same within 2 % |" in outcome.out
    assert (
        "more instructions than the 1.0% that are allowed: tiny fp32-1t (at least 1.5%)" in outcome.err
    ) is (code == 1)
