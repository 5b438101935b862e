"""How far one output is from another: figures for parity and for masks."""

from __future__ import annotations

from typing import Any

import numpy as np

FloatArray = np.ndarray[Any, np.dtype[np.float32]]

MASK_THRESHOLD = 0.5  # a pixel belongs to the subject where alpha is above it


def max_abs(a: FloatArray, b: FloatArray) -> float:
    """Return the largest |a - b|; infinite where the shapes differ or a value is not finite."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.abs(a.astype(np.float64) - b).max(initial=0.0))


def mean_abs(a: FloatArray, b: FloatArray) -> float:
    """Return the mean |a - b|; infinite where the shapes differ or a value is not finite."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.abs(a.astype(np.float64) - b).mean()) if a.size else 0.0


def mask_iou(alpha: FloatArray, reference: FloatArray) -> float:
    """Return the mean over samples (first axis) of the masks' intersection over union; 1 where both are empty."""
    masks = (alpha > MASK_THRESHOLD, reference > MASK_THRESHOLD)
    both, either = (
        operation(*masks).reshape(len(alpha), -1).sum(1) for operation in (np.logical_and, np.logical_or)
    )
    return float(np.mean(np.where(either == 0, 1.0, both / np.maximum(either, 1))))
