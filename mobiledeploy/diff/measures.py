"""How far a tensor is from its reference.

    max abs    max |c - r|
    relative   max |c - r| / max |r|
    cosine     (c · r) / (|c| |r|)
    SNR        10 log10 (Σ r² / Σ (c - r)²), in dB: 20 dB more is an error ten times smaller

Where both hold the same infinity, or both NaN, they agree, and the place is left out. Where only one of them is
finite, the errors are infinite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.metrics import cosine


@dataclass(frozen=True)
class Figures:
    """The measures above, and at how many places only one of the two is finite, or their infinities differ."""

    max_abs: float
    relative: float
    cosine: float
    snr_db: float
    broken: int = 0

    def to_json(self) -> dict[str, float | int | None]:
        """Return them with None for what is not a finite number; `identical` tells an infinite SNR from a lost one."""
        numbers = {
            "max_abs": self.max_abs,
            "relative": self.relative,
            "cosine": self.cosine,
            "snr_db": self.snr_db,
        }
        finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        return {**finite, "broken": self.broken, "identical": self.max_abs == 0}


def measure(reference: FloatArray, candidate: FloatArray) -> Figures | None:
    """Compare two tensors value by value in C order; None where they differ in size."""
    if reference.size != candidate.size:
        return None
    r, c = (array.reshape(-1).astype(np.float64) for array in (reference, candidate))
    finite = np.isfinite(r) & np.isfinite(c)
    same = (r == c) | (np.isnan(r) & np.isnan(c))
    broken = int(np.count_nonzero(~finite & ~same))
    r, c = r[finite], c[finite]
    angle = cosine(r, c)
    if broken:
        return Figures(math.inf, math.inf, angle, -math.inf, broken)
    difference = float(np.abs(c - r).max(initial=0.0))
    if difference == 0:
        return Figures(0.0, 0.0, angle, math.inf)
    largest = float(np.abs(r).max())
    relative = difference / largest if largest else math.inf
    return Figures(difference, relative, angle, _snr(r, c))


def _snr(r: np.ndarray, c: np.ndarray) -> float:
    """`r` and `c` differ somewhere."""
    signal, noise = float(r @ r), float((c - r) @ (c - r))
    return 10 * math.log10(signal / noise) if signal and noise else -math.inf
