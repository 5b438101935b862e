from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.statistics import Samples, paced_figures


def test_deadlines_and_frames_by_hand() -> None:
    """At 50 a second: 4 of 5 in time, and one frame passed while the slow one was at work."""
    samples = Samples(
        times_ms=np.array([8.0, 9.0, 31.0, 8.0, 9.0]),
        started_ms=np.array([0.0, 20.0, 40.0, 80.1, 100.0]),
        launch=np.zeros(5, int),
        round=np.arange(5),
    )
    found = paced_figures(samples, 50.0)
    assert found.missed == pytest.approx(0.2)
    assert found.skipped == 1
    assert found.summary.median_ms == 9.0
    assert found.gap is None


def test_the_gap_to_back_to_back(make_samples) -> None:
    steady, paced = make_samples(1), make_samples(2, factor=4.0)
    found = paced_figures(paced, 30.0, steady)
    assert found.gap is not None
    assert found.gap.ratio == pytest.approx(4, rel=0.03)
    assert found.gap.interval.low < found.gap.ratio < found.gap.interval.high
