"""How far one output is from another, whatever it means: the difference of arrays, in the output's own unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

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


def cosine(a: npt.NDArray[np.floating[Any]], b: npt.NDArray[np.floating[Any]]) -> float:
    """Return the cosine of the angle between two arrays as vectors: 1 where both are zero, 0 where one is."""
    u, v = a.reshape(-1).astype(np.float64), b.reshape(-1).astype(np.float64)
    norms = float(np.linalg.norm(u) * np.linalg.norm(v))
    if norms == 0:
        return 1.0 if not u.any() and not v.any() else 0.0
    return float(np.clip(u @ v / norms, -1.0, 1.0))


def top1_agreement(a: FloatArray, b: FloatArray) -> float:
    """Return the share of samples (first axis) whose largest value stands at the same place."""
    places = (array.reshape(len(array), -1).argmax(axis=1) for array in (a, b))
    return float(np.mean(np.equal(*places)))
