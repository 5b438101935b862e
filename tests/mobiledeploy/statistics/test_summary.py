from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.statistics import Samples, cold_figures, summarize, upstream_figures


def samples(*launches: list[float]) -> Samples:
    times = np.concatenate([np.array(launch) for launch in launches])
    return Samples(
        times_ms=times,
        started_ms=np.arange(len(times)) * 100.0,
        launch=np.repeat(np.arange(len(launches)), [len(launch) for launch in launches]),
        round=np.concatenate([np.arange(len(launch)) for launch in launches]),
    )


def test_figures_by_hand() -> None:
    summary = summarize(samples([1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]))
    assert summary.median_ms == 6.0
    assert summary.p90_ms == 10.0
    assert summary.mad_ms == 3.0
    assert (summary.samples, summary.launches) == (11, 2)
    assert summary.p99_ms is None


def test_p99_needs_a_hundred_samples() -> None:
    assert summarize(samples([float(value) for value in range(1, 102)])).p99_ms == 100.0


def test_the_interval_over_launches_by_hand() -> None:
    """Launch medians 9, 10 and 12: t with two degrees of freedom is 4.3027."""
    found = summarize(samples([9.0] * 3, [10.0] * 3, [12.0] * 3))
    logs = np.log([9.0, 10.0, 12.0])
    margin = 4.3027 * logs.std(ddof=1) / math.sqrt(3)
    assert found.interval_ms.low == pytest.approx(10 * math.exp(-margin), rel=1e-4)
    assert found.interval_ms.high == pytest.approx(10 * math.exp(margin), rel=1e-4)


def test_the_interval_covers_the_true_median(make_samples) -> None:
    """95 % of 300; a bootstrap or t over all samples as if independent covers about half (see docs/statistics.md)."""
    true = summarize(make_samples(99, launches=2000, count=60)).median_ms
    intervals = [summarize(make_samples(seed)).interval_ms for seed in range(300)]
    covered = np.mean([interval.low <= true <= interval.high for interval in intervals])
    assert 0.91 <= covered <= 0.99


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=40), st.floats(0.01, 100))
def test_the_figures_scale_with_the_unit(times: list[float], factor: float) -> None:
    one, other = summarize(samples(times)), summarize(samples([time * factor for time in times]))
    assert other.median_ms == pytest.approx(one.median_ms * factor)
    assert other.interval_ms.high == pytest.approx(one.interval_ms.high * factor)
    assert one.interval_ms.low <= one.median_ms * (1 + 1e-9) <= one.interval_ms.high * (1 + 1e-8)


def test_upstream_sees_four_loops_of_the_first_launch() -> None:
    figures = upstream_figures(samples([4.0, 2.0, 6.0, 8.0, 100.0], [1.0]))
    assert (figures.min_ms, figures.max_ms, figures.average_ms) == (2.0, 8.0, 5.0)


def test_cold_figures_are_medians_over_launches() -> None:
    launches = [
        {"process_ms": 30.0, "load_ms": 10.0, "first_ms": 5.0},
        {"process_ms": None, "load_ms": 14.0, "first_ms": 7.0},
        {"process_ms": 34.0, "load_ms": 11.0, "first_ms": 6.0},
    ]
    cold = cold_figures(launches)
    assert (cold.process_ms, cold.load_ms, cold.first_ms, cold.launches) == (32.0, 11.0, 6.0, 3)
    assert cold_figures([{"load_ms": 1.0, "first_ms": 2.0}]).process_ms is None


def test_samples_are_put_in_the_order_of_time() -> None:
    entry = {
        "threads": 2,
        "times_ms": [3.0, 1.0, 2.0],
        "started_ms": [5.0, 0.0, 9.0],
        "launch": [1, 0, 0],
        "round": [0, 0, 1],
        "cpu_ms": [6.0, 2.0, 4.0],
        "clocks": [[0.0, 1_000_000]],
    }
    found = Samples.from_entry(entry)
    assert found.times_ms.tolist() == [1.0, 2.0, 3.0]
    assert found.launch.tolist() == [0, 0, 1]
    assert found.cpu_ms is not None
    assert found.cpu_ms.tolist() == [2.0, 4.0, 6.0]
    assert found.clocks is not None
    assert found.clocks.shape == (1, 2)
