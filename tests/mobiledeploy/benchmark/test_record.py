from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from mobiledeploy.benchmark import default_path, read_run, write_run
from mobiledeploy.errors import UsageError


def test_a_run_reads_back_as_it_was_written(make_run, tmp_path: Path) -> None:
    run = make_run()
    write_run(run, tmp_path / "deep" / "run.json")
    assert read_run(tmp_path / "deep" / "run.json").document == run.document
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "not a run"),
        ('{"kind": "run", "schema": 99}', "schema 99"),
        ('{"kind": "run", "schema": 1}', "schema 1; this version reads 2"),
        ('{"kind": "run", "schema": 2}', "damaged"),
        ('{"kind": "run", "schema": 2, "benchmarks": 3, "context": {"device": {"label": "x"}}}', "damaged"),
    ],
)
def test_what_is_no_run(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_run(tmp_path / "run.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"times_ms": ["fast"]},
        {"started_ms": [0.0]},
        {"launch": [0, 0, 0, 0, 0, 0]},
        {"round": None},
        {"cpu_ms": [1.0]},
        {"launches": [{"load_ms": 1.0}]},
        {"launches": [{"load_ms": "long", "first_ms": 1.0}]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_samples_that_do_not_fit_together(make_run, tmp_path: Path, changes: dict) -> None:
    (tmp_path / "run.json").write_text(json.dumps(make_run(changes).document))
    with pytest.raises(UsageError, match="damaged"):
        read_run(tmp_path / "run.json")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        read_run(tmp_path / "nowhere.json")


def test_the_default_path_is_a_safe_name() -> None:
    now = datetime.datetime(2026, 11, 22, 3, 4, 5)
    assert default_path(["a b", "../c"], now) == Path("runs/20261122T030405-a_b_.._c.json")
