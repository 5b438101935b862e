"""Thresholds of distributions whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ncnn_tools.calibration import METHODS, BlobStatistics, Calibration, Method, half_differences, threshold
from ncnn_tools.calibration.error import moments

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def statistics_of(values: np.ndarray) -> BlobStatistics:
    statistics = BlobStatistics()
    statistics.add(values.astype(np.float32).reshape(1, -1))
    return statistics


def normal(count: int = 200_000) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, count)


def laplace(count: int = 200_000) -> np.ndarray:
    return np.random.default_rng(0).laplace(0, 1, count)


def quantized(values: np.ndarray, clip: float) -> np.ndarray:
    """What int8 makes of values, as numpy has it."""
    step = clip / 127
    return np.clip(np.trunc(values / step + np.copysign(0.5, values)), -127, 127) * step


def squared_error(values: np.ndarray, clip: float) -> float:
    return float(np.mean((values - quantized(values, clip)) ** 2))


def cosine(values: np.ndarray, clip: float) -> float:
    rounded = quantized(values, clip)
    return float(values @ rounded / np.linalg.norm(values) / np.linalg.norm(rounded))


@given(values=arrays.arrays(np.float32, st.integers(1, 200), elements=FINITE))
def test_absmax_is_exact(values: np.ndarray) -> None:
    assert threshold(statistics_of(values), "absmax") == float(np.abs(values).max())


@pytest.mark.parametrize("method", METHODS)
@given(values=arrays.arrays(np.float32, st.integers(1, 200), elements=FINITE))
def test_a_threshold_lies_within_the_data(method: str, values: np.ndarray) -> None:
    result = threshold(statistics_of(values), method)
    assert np.isfinite(result)
    assert 0 <= result <= np.abs(values).max()
    assert (result == 0) == (np.count_nonzero(values) == 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_blob_that_is_always_zero(method: str) -> None:
    assert threshold(statistics_of(np.zeros(5)), method) == 0.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [-2.5, 2.5, 1e-42, 3e38])
def test_one_value(method: str, value: float) -> None:
    assert threshold(statistics_of(np.full(7, value)), method) == pytest.approx(abs(value), rel=0.1)


@pytest.mark.parametrize("method", ["kl", "mse", "cosine", "percentile:99.9"])
def test_a_lone_outlier_is_clipped(method: str) -> None:
    values = np.append(normal(), 15.0)
    assert threshold(statistics_of(values), "absmax") == 15
    assert 2.5 < threshold(statistics_of(values), method) < 8


def test_mse_keeps_an_outlier_that_costs_more_than_it_saves() -> None:
    assert threshold(statistics_of(np.append(normal(), 1000.0)), "mse") > 900


def test_kl_keeps_the_range_of_evenly_spread_values() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 200_000)
    assert threshold(statistics_of(values), "kl") > 0.98


def test_kl_keeps_nearly_all_of_a_normal_distribution() -> None:
    assert 3 < threshold(statistics_of(normal()), "kl") < 5


def test_kl_of_one_side_is_that_of_128_levels_and_of_two_sides_of_255() -> None:
    """A symmetric distribution and its magnitudes have the same steps for the same threshold."""
    one, two = (threshold(statistics_of(values), "kl") for values in (np.abs(laplace()), laplace()))
    assert one == pytest.approx(two, rel=0.15)


@pytest.mark.parametrize(
    ("percentile", "expected"), [(50, 0.6745), (90, 1.6449), (99, 2.5758), (99.9, 3.2905)]
)
def test_percentiles_of_a_normal_distribution(percentile: float, expected: float) -> None:
    """Of |x|: the two-sided quantiles that every table has."""
    assert threshold(statistics_of(normal()), f"percentile:{percentile}") == pytest.approx(expected, rel=0.02)


def test_zeros_count_for_a_percentile() -> None:
    values = np.concatenate([np.zeros(900), np.linspace(0.01, 1, 100)])
    assert threshold(statistics_of(values), "percentile:95") == pytest.approx(0.5, abs=0.02)
    assert 0 < threshold(statistics_of(values), "percentile:80") <= 0.0101


# Banner, Nahshan, Soudry 2019 (arXiv:1810.05723, table 1): for 8 bits, of 256 levels, mse clips a normal distribution
# at 3.92 standard deviations, a Laplace one at 9.89 of its scale.
@pytest.mark.parametrize(("values", "expected"), [(normal(1_000_000), 3.92), (laplace(1_000_000), 9.89)])
def test_mse_clips_where_theory_says(values: np.ndarray, expected: float) -> None:
    assert threshold(statistics_of(values), "mse") == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(
    "values",
    [
        normal(20_000),
        np.maximum(normal(20_000), 0),
        np.append(laplace(20_000), [60.0]),
        np.concatenate([np.zeros(5000), np.full(100, 3.0), normal(500) * 1e-3]),
    ],
)
def test_mse_and_cosine_are_as_good_as_any_threshold_tried_on_the_values_themselves(
    values: np.ndarray,
) -> None:
    tried = np.abs(values).max() * np.linspace(0.02, 1, 300)
    by_mse = threshold(statistics_of(values), "mse")
    assert squared_error(values, by_mse) <= 1.03 * min(squared_error(values, clip) for clip in tried)
    by_cosine = threshold(statistics_of(values), "cosine")
    best = max(cosine(values, clip) for clip in tried)
    assert 1 - cosine(values, by_cosine) <= 1.03 * (1 - best) + 1e-9


@given(clip=st.floats(0.3, 6), seed=st.integers(0, 5))
def test_moments_are_those_of_evenly_spread_values(clip: float, seed: int) -> None:
    """Against sums over many values in each bin."""
    rng = np.random.default_rng(seed)
    edges = np.concatenate([[0.0], np.cumsum(rng.uniform(0.01, 0.5, 12))])
    counts = rng.integers(0, 50, 12)
    inside = (np.arange(4000) + 0.5) / 4000
    values = edges[:-1, None] + np.diff(edges)[:, None] * inside
    rounded = quantized(values, clip)
    step = clip / 127
    expected = [
        float(counts @ part.mean(axis=1)) / step**2 for part in (values**2, values * rounded, rounded**2)
    ]
    np.testing.assert_allclose(moments(edges, counts, clip), expected, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1e-30, 1e-3, 1e30])
def test_thresholds_scale_with_the_data(method: str, factor: float) -> None:
    values = np.append(normal(50_000), 30.0)
    expected = factor * threshold(statistics_of(values), method)
    tolerance = (
        0.2 if method == "kl" else 0.05
    )  # whose divergence is flat, and whose candidates are far apart here
    assert threshold(statistics_of(factor * values), method) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_data_leaves_no_trace(method: str) -> None:
    values = np.sort(np.abs(normal(50_000))).astype(np.float32)
    grown = BlobStatistics()
    for part in np.split(values, 50):
        grown.add(part[None])
    assert threshold(grown, method) == threshold(statistics_of(values), method)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eq", "no calibration method 'eq'"),
        ("kl:3", "kl takes no number"),
        ("percentile:", "number from 50 to 100"),
        ("percentile:101", "number from 50 to 100"),
        ("percentile:nan", "number from 50 to 100"),
    ],
)
def test_texts_of_no_method(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Method.parse(text)


def test_halves_that_agree_and_halves_that_do_not() -> None:
    def calibration(even: np.ndarray, odd: np.ndarray) -> Calibration:
        return Calibration(2, ({"x": statistics_of(even)}, {"x": statistics_of(odd)}))

    def differ(*halves: np.ndarray) -> float:
        return half_differences(calibration(*halves), "absmax")["x"]

    assert differ(np.ones(3), -np.ones(3)) == 0
    assert differ(np.ones(3), np.full(3, 4.0)) == 0.75
    assert differ(np.zeros(3), np.full(3, 4.0)) == 1
    assert differ(np.zeros(3), np.zeros(3)) == 0


def test_one_sample_has_no_halves() -> None:
    assert (
        half_differences(Calibration(1, ({"x": statistics_of(normal(9))}, {"x": BlobStatistics()})), "kl")
        == {}
    )
