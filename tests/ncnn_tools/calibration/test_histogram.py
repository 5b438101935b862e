"""The floating histogram, against sorting the values by numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ncnn_tools.calibration import Histogram
from ncnn_tools.calibration.histogram import BINS

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
BATCHES = st.lists(arrays.arrays(np.float32, st.integers(0, 30), elements=FINITE), min_size=1, max_size=6)


def filled(*batches: np.ndarray) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


def expected_counts(histogram: Histogram, values: np.ndarray) -> np.ndarray:
    """Count by bisection between the edges that the histogram says it has."""
    edges = histogram.edges()
    sides = [values[values > 0], -values[values < 0]]
    places = [np.clip(np.searchsorted(edges, side, "right") - 1, 0, BINS - 1) for side in sides]
    return np.stack([np.bincount(place, minlength=BINS) for place in places])


@given(batches=BATCHES)
def test_every_value_is_in_its_bin(batches: list[np.ndarray]) -> None:
    histogram = filled(*batches)
    values = np.concatenate(batches).astype(np.float64)
    np.testing.assert_array_equal(histogram.counts, expected_counts(histogram, values))
    assert histogram.zeros == np.count_nonzero(values == 0)
    assert histogram.total == values.size
    assert histogram.edges()[-1] > np.abs(values).max(initial=0)


@given(batches=BATCHES, split=st.integers(0, 6))
def test_order_and_division_leave_no_trace(batches: list[np.ndarray], split: int) -> None:
    whole = filled(*batches)
    for other in (filled(*batches[::-1]), filled(*batches[:split]).merged(filled(*batches[split:]))):
        np.testing.assert_array_equal(other.counts, whole.counts)
        assert (other.base, other.zeros) == (whole.base, whole.zeros)


def test_bins_are_narrow_wherever_the_values_are() -> None:
    edges = filled(np.array([3.0, -2.0], np.float32)).edges()
    assert edges[0] == 0
    assert (np.diff(edges) > 0).all()
    upper = edges[BINS // 2 :]
    assert (np.diff(upper) / upper[:-1]).max() <= 1 / 256


def test_fewer_mantissa_bits_merge_bins() -> None:
    histogram = filled(np.random.default_rng(0).normal(0, 1, 5000).astype(np.float32))
    edges, counts = histogram.magnitudes(6)
    fine_edges, fine = histogram.magnitudes()
    assert len(edges) == len(counts) + 1
    assert counts.sum() == fine.sum() == 5000
    assert set(edges) <= set(fine_edges)


def test_zeros_are_counted_apart() -> None:
    histogram = filled(np.zeros((3, 4), np.float32), np.array([-0.0], np.float32))
    assert histogram.counts.sum() == 0
    assert histogram.zeros == 13


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    histogram = filled(np.array([1.0], np.float32))
    with pytest.raises(ValueError, match="not finite"):
        histogram.add(np.array([0, 2, value], np.float32))
    assert histogram.total == 1


@pytest.mark.parametrize("values", [[1e-45, 3e-45], [1e-45, 3.4028234e38], [1e-40, -1e-40, 2e-40]])
def test_the_ends_of_float32(values: list[float]) -> None:
    histogram = filled(*np.array(values, np.float32)[:, None])
    assert histogram.counts.sum() == len(values)
    assert np.isfinite(histogram.edges()).all()
