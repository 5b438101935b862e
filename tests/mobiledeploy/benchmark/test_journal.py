"""Reading what the binary says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.benchmark.journal import ClockError, Journal, JournalError, read_journal, whole_lines


def sample(configuration: int = 0, phase: str = "steady", **changes) -> str:
    content = {"configuration": configuration, "phase": phase, "round": 0}
    content |= {"started_ms": 100.0, "time_ms": 2.5, "cpu_ms": 2.0}
    return json.dumps({"sample": content | changes})


BEGIN = json.dumps({"begin": {"schema": 2, "binary": {}, "cpu": {}, "parameters": {}, "process_ms": 1.0}})
LOADED = json.dumps({"loaded": {"name": "c0", "load_ms": 3.0}})
READING = json.dumps({"reading": {"at_ms": 99.0, "values": {"cpu0": 1800000, "skin": None}}})
END = json.dumps({"end": {"peak_memory_bytes": 5}})


def test_a_whole_launch() -> None:
    lines = [
        BEGIN, LOADED, LOADED, READING, sample(phase="warmup"), sample(1, started_ms=103.0),
        sample(started_ms=106, round=1), sample(phase="paced", started_ms=110.0, due_ms=109.5), END,
    ]  # fmt: skip
    journal = read_journal(lines)
    assert journal.measured == 3
    assert [s.started_ms for s in journal.of(0, "steady")] == [106]
    assert [s.time_ms for s in journal.of(1, "steady")] == [2.5]
    assert [s.due_ms for s in journal.of(0, "paced")] == [109.5]
    assert journal.readings == [{"at_ms": 99.0, "values": {"cpu0": 1800000, "skin": None}}]
    assert journal.end == {"peak_memory_bytes": 5}


NETWORK = json.dumps(
    {
        "network": {
            "configuration": 0,
            "layers": [{"name": name, "type": "ReLU", "inputs": [], "outputs": []} for name in "ab"],
        }
    }
)


def layers(**changes) -> str:
    content = {"configuration": 0, "round": 3, "started_ms": 100.0, "times_ms": [1.5, 0], "whole_ms": 1.6}
    return json.dumps({"layers": content | changes})


def test_times_of_layers() -> None:
    journal = read_journal([BEGIN, LOADED, NETWORK, layers(), sample(), layers(round=4), END])
    assert [layer["name"] for layer in journal.networks[0]] == ["a", "b"]
    assert [(times.round, times.times_ms) for times in journal.layers] == [(3, [1.5, 0]), (4, [1.5, 0])]
    assert journal.measured == 1


@pytest.mark.parametrize(
    "line",
    [
        layers(times_ms=[1.5]),
        layers(times_ms=[1.5, -0.1]),
        layers(times_ms=[1.5, None]),
        layers(whole_ms="1"),
        layers(configuration=1),
        layers(more=1),
        '{"network": {"configuration": 0, "layers": [{"name": "a"}]}}',
    ],
)
def test_times_that_do_not_fit_the_network(line: str) -> None:
    with pytest.raises(JournalError):
        read_journal([BEGIN, LOADED, NETWORK, line])


def test_a_launch_that_was_cut_off_has_no_end() -> None:
    journal = read_journal([BEGIN, LOADED, sample()])
    assert journal.end is None
    assert journal.measured == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Segmentation fault",
        "[]",
        "{}",
        '{"sample": 3}',
        '{"unknown": {}}',
        '{"begin": {}, "end": {}}',
        '{"begin": {"schema": 1}}',
        sample(1),
        sample(-1),
        sample(phase="cooling"),
        sample(time_ms=None),
        sample(time_ms="2.5"),
        sample(more=1),
        '{"reading": {"at_ms": 1}}',
    ],
)
def test_lines_that_the_binary_does_not_write(line: str) -> None:
    journal = read_journal([BEGIN, LOADED])
    with pytest.raises(JournalError):
        journal.add(line)
    assert journal.samples == []


@pytest.mark.parametrize("second", [sample(started_ms=99.0), sample(started_ms=101.0, time_ms=-1.0)])
def test_a_clock_that_goes_back(second: str) -> None:
    journal = read_journal([BEGIN, LOADED, sample()])
    with pytest.raises(ClockError, match="went back"):
        journal.add(second)


@given(st.text())
def test_no_text_is_taken_for_a_line(text: str) -> None:
    journal = Journal()
    with pytest.raises(JournalError):
        journal.add(text)


def test_half_a_last_line_is_none() -> None:
    assert whole_lines(b"a\nb\nc") == ["a", "b"]
    assert whole_lines(b"a\n") == ["a"]
    assert whole_lines(b"") == []
