"""Thresholds of distributions whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ncnn_tools.calibration import METHODS, Histogram, threshold

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def histogram_of(values: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.add(values.astype(np.float32))
    return histogram


def normal(count: int = 200_000) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, count)


@given(values=arrays.arrays(np.float32, st.integers(1, 200), elements=FINITE))
def test_absmax_is_exact(values: np.ndarray) -> None:
    assert threshold(histogram_of(values), "absmax") == float(np.abs(values).max())


@pytest.mark.parametrize("method", METHODS)
@given(values=arrays.arrays(np.float32, st.integers(1, 200), elements=FINITE))
def test_a_threshold_lies_within_the_data(method: str, values: np.ndarray) -> None:
    result = threshold(histogram_of(values), method)
    assert np.isfinite(result)
    assert 0 <= result <= np.abs(values).max()
    assert (result == 0) == (np.count_nonzero(values) == 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_blob_that_is_always_zero(method: str) -> None:
    assert threshold(histogram_of(np.zeros(5)), method) == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_one_value(method: str) -> None:
    assert threshold(histogram_of(np.full(7, -2.5)), method) == 2.5


def test_kl_clips_a_lone_outlier() -> None:
    values = np.append(normal(), 100.0)
    assert threshold(histogram_of(values), "absmax") == 100.0
    assert 2.5 < threshold(histogram_of(values), "kl") < 8


def test_kl_keeps_the_range_of_evenly_spread_values() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 200_000)
    assert threshold(histogram_of(values), "kl") > 0.98


def test_kl_keeps_nearly_all_of_a_normal_distribution() -> None:
    assert 3 < threshold(histogram_of(normal()), "kl") < 5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1e-30, 1e-3, 1e30])
def test_thresholds_scale_with_the_data(method: str, factor: float) -> None:
    values = np.append(normal(50_000), 30.0)
    expected = factor * threshold(histogram_of(values), method)
    assert threshold(histogram_of(factor * values), method) == pytest.approx(expected, rel=0.05)


def test_kl_hardly_depends_on_the_order_of_the_data() -> None:
    values = np.sort(np.abs(normal(50_000)))
    whole, grown = histogram_of(values), Histogram()
    for part in np.array_split(values.astype(np.float32), 50):
        grown.add(part)
    assert threshold(grown, "kl") == pytest.approx(threshold(whole, "kl"), rel=0.15)
