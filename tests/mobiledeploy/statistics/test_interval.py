from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.statistics.interval import effective_size, median_effective_size, median_interval, t_margin


def autoregressive(seed: int, count: int, correlation: float) -> np.ndarray:
    generator = np.random.default_rng(seed)
    values = np.zeros(count)
    for index in range(1, count):
        values[index] = correlation * values[index - 1] + generator.normal()
    return values


@pytest.mark.parametrize(("degrees", "quantile"), [(1, 12.706), (4, 2.776), (7, 2.365), (30, 2.042)])
def test_the_quantiles_are_those_of_the_printed_tables(degrees: int, quantile: float) -> None:
    assert t_margin(1.0, degrees) == pytest.approx(quantile, abs=5e-4)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_the_effective_size_of_an_autoregressive_series(correlation: float) -> None:
    """Known exactly: N (1 - r) / (1 + r)."""
    count = 20_000
    found = effective_size(autoregressive(1, count, correlation))
    assert found == pytest.approx(count * (1 - correlation) / (1 + correlation), rel=0.15)


def test_the_effective_size_is_never_more_than_the_size() -> None:
    alternating = np.tile([1.0, 2.0], 50)
    assert effective_size(alternating) == 100
    assert effective_size(np.ones(7)) == 7
    assert effective_size(np.array([1.0, 2.0])) == 2


def test_outliers_do_not_hide_the_autocorrelation_of_the_median() -> None:
    values = autoregressive(2, 2000, 0.9)
    spiked = values.copy()
    spiked[::97] += 1000.0
    assert median_effective_size(spiked) == pytest.approx(median_effective_size(values), rel=0.3)
    assert effective_size(spiked) > 1500


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_the_interval_of_a_median_covers_it(correlation: float) -> None:
    """At 95 %; 300 series tell that from 90 % (where 3.9 standard errors lie between)."""
    covered = 0
    for seed in range(300):
        interval = median_interval(autoregressive(seed, 300, correlation))
        covered += interval.low <= 0 <= interval.high
    assert 0.91 <= covered / 300 <= 0.99


def test_the_interval_of_very_few_samples_is_their_range() -> None:
    interval = median_interval(np.array([3.0, 1.0]))
    assert (interval.low, interval.high) == (1.0, 3.0)
