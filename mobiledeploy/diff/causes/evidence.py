"""What the causes look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mobiledeploy.arrays import FloatArray
from ncnn_tools.graph import Layer

_BETTER = 10.0  # an explanation leaves at most a tenth of the error


@dataclass(frozen=True)
class Evidence:
    """A bad tensor, and what it was computed from.

    `reference` and `candidate` have no batch; their shapes agree where they are laid out alike. `inputs` are the
    reference's values of the inputs of the candidate's layer, as far as they are known. `layer` is ncnn's, where the
    candidate is such a model. `halves` says that the candidate computes in fp16. `tolerance` is the relative error
    that is still good.
    """

    reference: FloatArray
    candidate: FloatArray
    tolerance: float
    inputs: tuple[FloatArray, ...] = ()
    layer: Layer | None = None
    halves: bool = False

    @property
    def alike(self) -> bool:
        """Whether both have one shape, so that their places can be compared."""
        return bool(self.reference.shape == self.candidate.shape)

    @property
    def finite(self) -> bool:
        """Whether all values of both are numbers."""
        return bool(np.isfinite(self.reference).all() and np.isfinite(self.candidate).all())

    def explained_by(self, reference: np.ndarray, candidate: np.ndarray) -> bool:
        """Say whether what was bad is good between these two, and by far better than it was."""
        error, before = relative(reference, candidate), relative(self.reference, self.candidate)
        return bool(error <= self.tolerance and error * _BETTER <= before)


Cause = Callable[[Evidence], "str | None"]


def relative(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Return max |c - r| / max |r| of finite arrays of one size, in C order."""
    r, c = (array.reshape(-1).astype(np.float64) for array in (reference, candidate))
    largest = float(np.abs(r).max(initial=0.0))
    difference = float(np.abs(c - r).max(initial=0.0))
    return difference / largest if largest else (0.0 if difference == 0 else float("inf"))


def rms(array: np.ndarray) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0


def largest(array: np.ndarray) -> float:
    """Return the largest |value|."""
    return float(np.abs(array).max(initial=0.0))
