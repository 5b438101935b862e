"""A run in progress on disk: nothing that was said is lost, and what ended well is not done again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from mobiledeploy.benchmark.journal import JournalError
from mobiledeploy.benchmark.partial import MAX_AGE_S, PartialRun

LINES = [
    '{"begin": {"schema": 2}}',
    '{"loaded": {"name": "c0"}}',
    '{"sample": {"configuration": 0, "phase": "steady", "round": 0, "started_ms": 1.0, "time_ms": 1.0, "cpu_ms": 1.0}}',
]


def take_launch(partial: PartialRun, number: int, *, ends: bool = True) -> None:
    partial.begin(number, [0])
    for line in LINES:
        partial.take(number, line)
    if ends:
        partial.end(number, {"accuracy": {"0": number}})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "partial.jsonl"


def test_launches_that_ended_are_taken_over(path: Path) -> None:
    with PartialRun(path, {"a": 1}) as first:
        take_launch(first, 0)
        take_launch(first, 1, ends=False)
        assert first.samples == 2
    with PartialRun(path, {"a": 1}) as again:
        assert list(again.launches) == [0]
        assert again.launches[0].done == {"accuracy": {"0": 0}}
        assert again.launches[0].journal.measured == 1
        take_launch(again, 1)
    with PartialRun(path, {"a": 1}) as third:
        assert list(third.launches) == [0, 1]


def test_every_line_is_on_disk_when_it_was_taken(path: Path) -> None:
    with PartialRun(path, {}) as partial:
        partial.begin(0, [0])
        for count, line in enumerate(LINES, start=3):
            partial.take(0, line)
            assert path.read_text().splitlines()[-1] == line
            assert len(path.read_text().splitlines()) == count


def test_garbage_is_kept_and_said(path: Path) -> None:
    with PartialRun(path, {}) as partial:
        partial.begin(0, [0])
        with pytest.raises(JournalError):
            partial.take(0, "garbage")
    assert path.read_text().endswith("garbage\n")


def test_half_a_line_at_the_end_is_dropped(path: Path) -> None:
    with PartialRun(path, {}) as partial:
        take_launch(partial, 0)
    with path.open("a") as file:
        file.write('{"launch": 1, "ord')
    with PartialRun(path, {}) as again:
        take_launch(again, 1)
    for line in path.read_text().splitlines():
        json.loads(line)
    with PartialRun(path, {}) as third:
        assert list(third.launches) == [0, 1]


@pytest.mark.parametrize("text", ["", "{", "[]\n", "\n", '{"run": {"b": 2}}\n{"launch": 0}\n', "\udcff"])
def test_other_files_in_its_place_are_replaced(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with PartialRun(path, {"a": 1}) as partial:
        assert partial.launches == {}
        take_launch(partial, 0)
    assert json.loads(path.read_text().splitlines()[0]) == {"run": {"a": 1}}


def test_what_is_old_is_measured_again(path: Path) -> None:
    with PartialRun(path, {}) as partial:
        take_launch(partial, 0)
    moment = time.time() - MAX_AGE_S - 10
    os.utime(path, (moment, moment))
    with PartialRun(path, {}) as again:
        assert again.launches == {}


def test_nothing_stays_of_a_finished_run(path: Path) -> None:
    with PartialRun(path, {}) as partial:
        take_launch(partial, 0)
        partial.finish()
    assert not path.exists()
