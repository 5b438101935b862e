"""Where to clip an activation for int8: from its histogram to a threshold T; the scale is then 127 / T."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from ncnn_tools.calibration.histogram import BINS, Histogram

_LEVELS = 128  # magnitudes that a symmetric int8 value can have
_STEP = BINS // 256  # thresholds are tried at this distance, 1/256 of the range
_SMOOTHING = 1e-4  # added to every bin, so that no ratio is infinite


def absmax_threshold(histogram: Histogram) -> float:
    """Return the largest |x|: nothing is clipped, and outliers stretch the grid."""
    return histogram.absmax


def kl_threshold(histogram: Histogram) -> float:
    """Return the threshold whose quantized distribution is nearest to the clipped one, by Kullback-Leibler divergence.

    S. Migacz, "8-bit Inference with TensorRT", GTC 2017.
    """
    used = int(np.flatnonzero(histogram.counts)[-1]) + 1
    candidates = range(_LEVELS, used + 1, _STEP)
    if not candidates:
        return histogram.absmax
    counts = histogram.counts[:used].astype(np.float64)
    divergences = [_divergence(counts, size) for size in candidates]
    best = candidates[int(np.argmin(divergences))]
    return min((best + 0.5) * histogram.bin_width, histogram.absmax)


def _divergence(counts: npt.NDArray[np.float64], size: int) -> float:
    """Compare the histogram clipped to `size` bins with what is left of it on 128 levels."""
    clipped = counts[:size].copy()
    kept = clipped > 0
    starts = np.arange(_LEVELS) * size // _LEVELS
    occupied = np.add.reduceat(kept.astype(np.float64), starts)
    levels = np.add.reduceat(clipped, starts) / np.maximum(occupied, 1)
    quantized = np.repeat(levels, np.diff([*starts, size])) * kept
    clipped[-1] += counts[size:].sum()
    p = clipped + _SMOOTHING
    q = quantized + _SMOOTHING
    p /= p.sum()
    q /= q.sum()
    return float(np.sum(p * np.log(p / q)))


METHODS: Mapping[str, Callable[[Histogram], float]] = {"absmax": absmax_threshold, "kl": kl_threshold}


def threshold(histogram: Histogram, method: str) -> float:
    """Return the clipping threshold by a method of METHODS; 0.0 for an activation that was always zero."""
    return METHODS[method](histogram) if histogram.absmax > 0 else 0.0
