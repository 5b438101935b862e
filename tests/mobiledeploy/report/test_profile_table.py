"""Profiles as tables."""

from __future__ import annotations

import copy

import pytest

from mobiledeploy.profile import Profile
from mobiledeploy.report.formats import render
from mobiledeploy.report.profile_table import profile_notes, profile_table


def layer(name: str, time_ms: float, **changes) -> dict:
    blob = {"shape": [16, 50, 50], "elempack": 4, "elembits": 32}
    figures = {"type": "Convolution", "arithmetic": "fp32", "macs": 1_440_000, "bytes": 202_304, "gmacs": 5.0}
    figures |= {"gbs": 0.7, "roofline": 0.5, "bound": "compute", "inputs": [blob], "outputs": [blob]}
    times = {"median_ms": 0.9 * time_ms, "mean_ms": time_ms, "share": time_ms / 1.0}
    return {"name": name, **times, **figures, **changes}


@pytest.fixture
def profile() -> Profile:
    nothing = {"gmacs": None, "gbs": None, "roofline": None, "bound": None, "macs": 0, "bytes": 0}
    layers = [layer("a", 0.2), layer("b", 0.5), layer("split", 0.1, type="Split", **nothing)]
    totals = {
        "sum_ms": 1.0,
        "medians_ms": 0.72,
        "outputs_ms": 0.2,
        "whole_ms": 1.02,
        "profiled_ms": 1.03,
        "difference": -0.0196,
    }
    totals |= {"macs": 2_880_000, "bytes": 404_608, "gmacs": 2.8, "gbs": 0.4, "roofline": 0.36}
    limits = {"peak_gmacs": {"fp32": 10.0}, "bandwidth_gbs": [{"bytes": 1 << 14, "gbs": 100.0}]}
    return Profile(
        {
            "model": "tiny",
            "precision": "fp32",
            "threads": 2,
            "context": {"device": {"label": "Pixel 8"}},
            "layers": layers,
            "totals": totals,
            "roofline": limits,
        }
    )


def test_the_longest_layer_comes_first_and_the_sum_last(profile: Profile) -> None:
    columns, rows = profile_table(profile)
    assert [row["layer"] for row in rows] == ["b", "a", "split", "bringing the outputs out", "sum"]
    assert [row["share (%)"] for row in rows] == ["50.0", "20.0", "10.0", "20.0", "100.0"]
    assert rows[0]["output"] == "16x50x50"
    assert rows[0]["roofline (%)"] == "50.0"
    assert rows[2]["GMAC/s"] is None
    assert rows[-1]["MMAC"] == "2.88"
    assert render(columns, rows, "markdown").count("\n") == 6


def test_the_rest_is_one_row(profile: Profile) -> None:
    _, rows = profile_table(profile, top=1)
    assert [row["layer"] for row in rows] == ["b", "2 more", "bringing the outputs out", "sum"]
    assert rows[1]["mean (ms)"] == "0.3000"
    assert rows[1]["median (ms)"] == "0.2700"
    assert rows[1]["MMAC"] == "1.44"


def test_all_layers_are_no_rest(profile: Profile) -> None:
    assert len(profile_table(profile, top=3)[1]) == 5


def test_the_reader_is_told_how_sum_and_whole_agree(profile: Profile) -> None:
    notes = "\n".join(profile_notes(profile))
    assert "2 threads, on Pixel 8" in notes
    assert "-2.0%" in notes
    assert "fp32 10" in notes
    assert "100 (16 KiB)" in notes
    assert "busy" not in notes
    document = copy.deepcopy(dict(profile.document))
    document["totals"]["difference"] = -0.2
    assert "busy" in "\n".join(profile_notes(Profile(document)))
