"""Scales and rounding, as ncnn computes them.

A scale multiplies: q = clamp(round(x · scale), ±127), scale = 127 / threshold. A threshold is the |x| that becomes
127; larger values are clipped.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]

LEVELS = 127  # int8 is used symmetrically: -127..127

# Clipping a row of weights at less than a third of its largest never was the best on real layers.
_TRIED = np.linspace(1.0, 0.35, 66, dtype=np.float32)


def to_scales(thresholds: npt.ArrayLike) -> Float32:
    """127 / threshold; 1 where the values are all zero, or too small for the quotient to be finite."""
    with np.errstate(divide="ignore", over="ignore"):
        scales = np.float32(LEVELS) / np.asarray(thresholds, np.float32)
    finite: Float32 = np.where(np.isfinite(scales), scales, np.float32(1))
    return finite


def round_half_away(values: Float32, levels: int | npt.NDArray[np.int64] = LEVELS) -> Int8:
    """Round as ncnn does (`float2int8`: half away from zero), clamped to ±levels."""
    rounded = np.trunc(values + np.copysign(np.float32(0.5), values))
    clamped: Int8 = np.clip(rounded, -np.asarray(levels), levels).astype(np.int8)
    return clamped


def absmax_thresholds(rows: Float32) -> Float32:
    """Return the largest |weight| of each row: nothing is clipped."""
    largest: Float32 = np.abs(rows).max(axis=1)
    return largest


def mse_thresholds(rows: Float32) -> Float32:
    """Return, for each row of weights, the threshold of the smallest mean squared error, by search.

    Clipping a few large weights makes the grid finer for all others. R. Banner et al., "Post training 4-bit
    quantization of convolutional networks for rapid-deployment", NeurIPS 2019, derive the optimum for Gaussian and
    Laplacian weights; the weights themselves are searched here.
    """
    largest = absmax_thresholds(rows)
    best, least = largest, np.full(len(rows), np.inf, np.float32)
    for fraction in _TRIED:
        scales = to_scales(largest * fraction)[:, None]
        error = np.square(round_half_away(rows * scales) / scales - rows).mean(axis=1)
        best = np.where(error < least, largest * fraction, best)
        least = np.minimum(error, least)
    return best
