"""From a network's raw outputs to alpha: how much of each pixel is the subject, 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.errors import UsageError

# none: the output is alpha already; sigmoid: a logit; softmax: one logit a class, of which the last is the subject.
ACTIVATIONS = ("none", "sigmoid", "softmax")


@dataclass(frozen=True)
class Matte:
    """Which output the alpha is made from, and how.

    Raises:
        UsageError: the activation is not one of `ACTIVATIONS`.
    """

    output: str
    activation: str = "none"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise UsageError(
                f"mask_activation must be one of {', '.join(ACTIVATIONS)}, not {self.activation!r}"
            )

    def alpha(self, outputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return alpha (N, H, W), float32 in 0..1 (NaN stays NaN), for a network's raw outputs by name.

        Raises:
            UsageError: the output has no shape that a mask is made from.
        """
        values = outputs[self.output]
        self.check_shape(values.shape)
        if self.activation == "none":
            alpha = np.clip(values, 0, 1)
        elif self.activation == "sigmoid":
            alpha = _sigmoid(values)
        else:
            alpha = _last_of_softmax(values)
        return alpha.reshape(len(values), *values.shape[-2:]).astype(np.float32, copy=False)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise UsageError unless it is (N, H, W) or (N, 1, H, W), or for softmax (N, C, H, W) with C > 1."""
        maps = shape[1] if len(shape) == 4 else 1
        if len(shape) not in (3, 4) or (maps > 1) != (self.activation == "softmax"):
            wanted = "Nx2xHxW" if self.activation == "softmax" else "Nx1xHxW"
            raise UsageError(
                f"output {self.output!r} has shape {'x'.join(map(str, shape))}; "
                f"a mask with activation {self.activation!r} is made from {wanted}",
                hint="mask_activation is softmax for one map a class, sigmoid for logits, none for 0..1.",
            )


def _sigmoid(logits: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), as a tanh so that large negative values don't overflow."""
    alpha: FloatArray = 0.5 * (1 + np.tanh(0.5 * logits))
    return alpha


def _last_of_softmax(logits: FloatArray) -> FloatArray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    alpha: FloatArray = exponentials[:, -1] / exponentials.sum(axis=1)
    return alpha
