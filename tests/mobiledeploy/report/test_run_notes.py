from __future__ import annotations

import pytest

from mobiledeploy.report.run_notes import footnotes


def test_the_method_is_said(make_run) -> None:
    run = make_run({"times_ms": [1.0] * 4, "launch": [0, 0, 1, 1], "round": [0, 1, 0, 1]})
    assert footnotes([run])[0] == (
        "Pixel 8, CPU. Time: median of at least 4 inferences in 2 launches, wall, interleaved."
    )


def test_emulated_runs_have_no_latencies(make_run) -> None:
    run = make_run({"times_ms": []}, kind="virtual", timed=False)
    assert "no latencies" in " ".join(footnotes([run]))


@pytest.mark.parametrize(("kind", "said"), [("virtual", True), ("usb", False)])
def test_a_virtual_phone_is_called_one(make_run, kind: str, said: bool) -> None:
    assert ("this computer's" in " ".join(footnotes([make_run({}, kind=kind)]))) is said


def test_noise_is_called_noise(make_run, accuracy) -> None:
    noise = accuracy | {"samples": {"source": "noise", "count": 4}}
    assert "noise" in " ".join(footnotes([make_run({"accuracy": noise})]))


def test_warnings_name_their_row(make_run) -> None:
    assert "tiny fp32-1t: Only 5 samples. Raise --runs to 64 or more." in footnotes([make_run({})])


def test_rows_that_warn_of_the_same_share_a_line(make_run) -> None:
    lines = footnotes([make_run({}, {"precision": "fp16"}, {"precision": "int8"})])
    assert "tiny fp32-1t and 2 more rows: Only 5 samples. Raise --runs to 64 or more." in lines


def test_a_sustained_run_is_meant_to_throttle(make_run) -> None:
    times = [10.0] * 50 + [20.0] * 50
    entry = {"times_ms": times, "started_ms": [100.0 * number for number in range(100)]}
    lines = footnotes([make_run(entry, parameters={"mode": "sustained"})])
    assert lines[1:] == ["tiny fp32-1t over 10 s: ▄▄▄▄▄█████ (10.0 to 20.0 ms)"]
