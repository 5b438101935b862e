from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mobiledeploy.statistics import Samples, paced_figures


def test_deadlines_by_hand() -> None:
    """At 50 a second: 3 of 5 in time; one is slow, and one started late."""
    samples = Samples(
        times_ms=np.array([8.0, 9.0, 31.0, 8.0, 9.0]),
        started_ms=np.array([0.0, 20.0, 40.0, 80.1, 112.0]),
        launch=np.zeros(5, int),
        round=np.arange(5),
        due_ms=np.array([0.0, 20.0, 40.0, 80.0, 100.0]),
    )
    found = paced_figures(samples, 50.0, samples)
    assert found.missed == pytest.approx(0.4)
    assert found.summary.median_ms == 9.0
    assert found.gap.ratio == 1


def test_the_gap_to_back_to_back(make_samples) -> None:
    steady, paced = make_samples(1), make_samples(2, factor=4.0)
    paced = dataclasses.replace(paced, due_ms=paced.started_ms)
    found = paced_figures(paced, 30.0, steady)
    assert found.gap.ratio == pytest.approx(4, rel=0.03)
    assert found.gap.interval.low < found.gap.ratio < found.gap.interval.high
