"""Profiles as timelines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mobiledeploy.profile.record import make_profile
from mobiledeploy.profile.trace import trace_events, write_trace


@pytest.fixture
def events(run, graph) -> list[dict]:
    return trace_events(make_profile(run, graph))["traceEvents"]


def slices(events: list[dict]) -> list[dict]:
    return [event for event in events if event["ph"] == "X"]


def test_a_slice_has_what_the_format_asks_for(events) -> None:
    for event in slices(events):
        assert event["dur"] >= 0
        assert event["ts"] >= 0
        assert event.keys() == {"ph", "name", "cat", "ts", "dur", "pid", "tid", "args"}
    assert min(event["ts"] for event in slices(events)) == 0
    named = {event["name"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert named["process_name"] == "tiny fp32-1t on Pixel 8"


def test_layers_lie_back_to_back_within_their_inference(events) -> None:
    found = slices(events)
    # The first launch alone: two plain inferences, two with their three layers each.
    assert [event["name"] for event in found] == [
        "inference 0, plain", "inference 1, plain",
        "inference 0", "conv", "split", "relu", "inference 1", "conv", "split", "relu",
    ]  # fmt: skip
    whole, conv, split, relu = found[2:6]
    assert whole["ts"] == conv["ts"] == pytest.approx(1000)  # 11 ms, one after the first
    assert split["ts"] == pytest.approx(conv["ts"] + conv["dur"])
    assert relu["ts"] == pytest.approx(split["ts"] + split["dur"])
    assert relu["ts"] + relu["dur"] <= whole["ts"] + whole["dur"]


def test_a_layer_tells_its_work(events) -> None:
    arguments = slices(events)[3]["args"]
    assert arguments["MACs"] == 1_440_000
    assert arguments["GMAC/s"] == pytest.approx(5.0)
    assert arguments["outputs"] == "16x50x50 of 32 bits"


def test_as_many_inferences_as_asked_for(run, graph) -> None:
    events = trace_events(make_profile(run, graph), inferences=1)["traceEvents"]
    assert len(slices(events)) == 1 + 1 + 3


def test_a_trace_is_written_as_json(run, graph, tmp_path: Path) -> None:
    profile = make_profile(run, graph)
    write_trace(profile, tmp_path / "new" / "trace.json")
    assert json.loads((tmp_path / "new" / "trace.json").read_text()) == trace_events(profile)
