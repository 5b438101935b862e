"""The threshold after which int8 tells least of a distribution's shape from another: Kullback-Leibler divergence.

S. Migacz, "8-bit Inference with TensorRT", GTC 2017, for which the histogram is one of |x| and the levels are 128.
That is right for data of one sign alone. Data of two signs has 255 levels, and its sides differ (behind a leaky
ReLU, say), so here it keeps a histogram of both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ncnn_tools.calibration.histogram import Histogram, clipped_edges

_BINS = 2048  # equal ones over [0, absmax], and as many over [-absmax, 0]
_FEWEST = 128  # bins that a threshold leaves on a side: one a level
_STEP = 8  # thresholds are tried at this distance, 1/256 of the range
_SMOOTHING = 1e-4  # added to every bin, so that no ratio is infinite

Bins = npt.NDArray[np.float64]


def least_divergence(histogram: Histogram, absmax: float) -> float:
    """Return the threshold, at most `absmax` (above 0), of the least divergence.

    Zeros are left out: they quantize without error, and behind a ReLU their number would drown the rest.
    """
    positive, negative = (_equal_bins(histogram, side, absmax) for side in (0, 1))
    candidates = range(_FEWEST, _BINS + 1, _STEP)
    divergences = [_divergence(positive, negative, size) for size in candidates]
    return min((candidates[int(np.argmin(divergences))] + 0.5) * absmax / _BINS, absmax)


def _equal_bins(histogram: Histogram, side: int, absmax: float) -> Bins:
    """Return a side's counts in equal bins, as if values were spread evenly within the bins that they have."""
    total = np.concatenate([[0.0], np.cumsum(histogram.counts[side])])
    edges = clipped_edges(histogram.edges(), absmax)
    result: Bins = np.diff(np.interp(np.linspace(0, edges[-1], _BINS + 1), edges, total))
    return result


def _divergence(positive: Bins, negative: Bins, size: int) -> float:
    """Compare the histogram clipped to `size` bins a side with what is left of it on the levels."""
    sides = [side for side in (negative, positive) if side.any()]
    clipped = np.concatenate([_clipped(side, size)[:: -1 if side is negative else 1] for side in sides])
    kept = np.concatenate([side[:size][:: -1 if side is negative else 1] for side in sides])
    levels = 128 if len(sides) == 1 else 255
    p = clipped + _SMOOTHING
    q = _on_levels(kept, levels) + _SMOOTHING
    p /= p.sum()
    q /= q.sum()
    return float(np.sum(p * np.log(p / q)))


def _clipped(side: Bins, size: int) -> Bins:
    result: Bins = side[:size].copy()
    result[-1] += side[size:].sum()
    return result


def _on_levels(bins: Bins, levels: int) -> Bins:
    """Spread the values of each level evenly over its bins that have any."""
    occupied = bins > 0
    starts = np.arange(levels) * len(bins) // levels
    sums = np.add.reduceat(bins, starts)
    counts = np.add.reduceat(occupied.astype(np.float64), starts)
    spread: Bins = np.repeat(sums / np.maximum(counts, 1), np.diff([*starts, len(bins)])) * occupied
    return spread
