"""The growing histogram, against one made at once over the final range."""

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


@given(batches=BATCHES)
def test_every_value_but_zero_is_counted_once(batches: list[np.ndarray]) -> None:
    histogram = filled(*batches)
    values = np.abs(np.concatenate(batches))
    assert histogram.counts.sum() == np.count_nonzero(values)
    assert histogram.absmax == values.max(initial=0)
    assert histogram.limit >= histogram.absmax
    assert histogram.absmax == 0 or histogram.limit < 2 * histogram.absmax or len(batches) == 1


@given(batches=BATCHES)
def test_growing_gives_what_the_final_range_gives(batches: list[np.ndarray]) -> None:
    """But for values on the edge between two bins, which rounding may put into either."""
    histogram = filled(*batches)
    values = np.abs(np.concatenate(batches)).astype(np.float64)
    values = values[values > 0]
    if values.size == 0:
        return
    expected, _ = np.histogram(values, bins=BINS, range=(0, histogram.limit))
    shift = np.abs(np.cumsum(histogram.counts - expected))
    place = values / histogram.bin_width
    on_an_edge = np.count_nonzero(np.abs(place - np.round(place)) < 1e-3)
    assert shift.max() <= on_an_edge


def test_the_order_of_the_data_hardly_matters() -> None:
    values = np.random.default_rng(0).normal(0, 1, 20000).astype(np.float32)
    values = values[np.argsort(np.abs(values))]
    rising, falling = filled(*np.split(values, 20)), filled(*np.split(values[::-1], 20))
    assert rising.absmax == falling.absmax
    assert falling.limit == falling.absmax

    def quantile(histogram: Histogram, share: float) -> float:
        total = np.cumsum(histogram.counts) / histogram.counts.sum()
        return float(np.searchsorted(total, share) * histogram.bin_width)

    for share in (0.1, 0.5, 0.9, 0.999):
        assert quantile(rising, share) == pytest.approx(quantile(falling, share), abs=2 * rising.bin_width)


def test_zeros_leave_no_trace() -> None:
    histogram = filled(np.zeros((3, 4), np.float32), np.array([-0.0], np.float32))
    assert histogram.counts.sum() == 0
    assert (histogram.absmax, histogram.limit, histogram.bin_width) == (0, 0, 0)


def test_any_shape_and_no_values_at_all() -> None:
    histogram = filled(np.ones((2, 3, 4), np.float32), np.zeros((0, 3), np.float32))
    assert histogram.counts[-1] == 24


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    histogram = filled(np.array([1.0], np.float32))
    with pytest.raises(ValueError, match="not finite"):
        histogram.add(np.array([0, 2, value], np.float32))
    assert histogram.counts.sum() == 1


@pytest.mark.parametrize("values", [[1e-45, 3e-45], [1e-45, 3.4e38], [1e-40, -1e-40, 2e-40]])
def test_the_ends_of_float32(values: list[float]) -> None:
    histogram = filled(*np.array(values, np.float32)[:, None])
    assert histogram.counts.sum() == len(values)
    assert np.isfinite(histogram.limit)
