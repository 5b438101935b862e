from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.statistics import Samples, sustained_figures


def long_run(factor: np.ndarray) -> Samples:
    """One sample of about 10 ms every 100 ms."""
    count = len(factor)
    times = np.random.default_rng(0).normal(10, 0.2, count) * factor
    return Samples(times, 5000 + np.arange(count) * 100.0, np.zeros(count, int), np.arange(count))


def test_a_phone_that_throttles_twice() -> None:
    found = sustained_figures(long_run(np.repeat([1.0, 1.25, 1.6], [900, 900, 1200])))
    assert found.throttled_after_s == pytest.approx(90, abs=2)
    assert found.steady_ms == pytest.approx(10, rel=0.02)
    assert found.kept == pytest.approx(1 / 1.6, rel=0.02)
    assert len(found.curve) == 300
    assert found.curve[0][0] == 0.0
    assert found.curve[-1] == (299.0, pytest.approx(16, rel=0.03))


def test_a_phone_that_does_not() -> None:
    found = sustained_figures(long_run(np.ones(3000)))
    assert found.throttled_after_s is None
    assert found.kept == pytest.approx(1, abs=0.01)


def test_against_the_speed_of_a_steady_run() -> None:
    """It was hot from the start: only the steady run shows it."""
    found = sustained_figures(long_run(np.full(600, 1.3)), steady_ms=10.0)
    assert found.throttled_after_s == 0.0
    assert found.kept == pytest.approx(1 / 1.3, rel=0.02)


def test_windows_without_samples_are_left_out() -> None:
    samples = Samples(np.array([2500.0, 2600.0]), np.array([0.0, 2500.0]), np.zeros(2, int), np.arange(2))
    assert sustained_figures(samples).curve == ((0.0, 2500.0), (2.0, 2600.0))
