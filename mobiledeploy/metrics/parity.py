"""How far one output is from another, whatever it means: the difference of arrays, in the output's own unit."""

from __future__ import annotations

import numpy as np

from mobiledeploy.arrays import FloatArray


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
