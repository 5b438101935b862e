"""The arithmetic of QuantizeLinear and DequantizeLinear: which real values a pair of them lets through.

ONNX operator specification: q = saturate(round(x / step) + zero point), x = (q - zero point) · step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ncnn_tools.onnx2ncnn.source import Array, Node

LEVELS = 127  # ncnn's int8 is symmetric: -127..127
_NARROW = {"int2": (-2, 1), "uint2": (0, 3), "int4": (-8, 7), "uint4": (0, 15)}


@dataclass(frozen=True)
class Grid:
    """The values of one activation: (low..high) · step, `low` and `high` counted from the zero point."""

    step: float
    low: int
    high: int
    signed: bool

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest real value, as float32 holds them."""
        step = np.float32(self.step)
        return float(np.float32(self.low) * step), float(np.float32(self.high) * step)

    @property
    def is_int8(self) -> bool:
        """Whether ncnn's int8 has these values, all but a lowest level of -128."""
        return self.low >= -LEVELS - 1 and self.high <= LEVELS

    @property
    def is_symmetric(self) -> bool:
        """Whether it is of a signed type with zero point 0."""
        return self.signed and self.high == -self.low - 1

    @property
    def scale(self) -> np.float32:
        """ncnn's scale, a multiplier: of the same step where int8 has the values, else of the same reach."""
        threshold = self.step * (LEVELS if self.is_int8 else max(-self.low, self.high))
        scale: np.float32 = np.float32(LEVELS / threshold)
        return scale


def read_grid(node: Node, step: Array | None, zero: Array | None) -> Grid:
    """Read the grid of an activation from a node's scale and zero point; unsupported unless they are constant."""
    if step is None or zero is None:
        raise node.unsupported("its scale and zero point should be constants")
    if step.size != 1:
        raise node.unsupported("an activation with a scale a channel: ncnn has one for all", "axis")
    if not is_integer(zero.dtype):
        raise node.unsupported(f"quantizes to {zero.dtype}: only integers can be taken over")
    limits, middle, value = _limits(zero.dtype), int(zero.reshape(-1)[0]), float(step.reshape(-1)[0])
    if not (np.isfinite(value) and value > 0):
        raise node.unsupported(f"its scale is {value}")
    return Grid(value, limits[0] - middle, limits[1] - middle, limits[0] < 0)


def is_integer(dtype: np.dtype[Any]) -> bool:
    """Say whether a type is an integer; those of 2 and 4 bits come by ml_dtypes, and numpy does not know them."""
    return dtype.kind in "iu" or dtype.name in _NARROW


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the smallest and largest integer of a type."""
    if dtype.name in _NARROW:
        return _NARROW[dtype.name]
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def along_axis(values: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Spread scales or zero points (one, or one an index of `axis`) so that they broadcast to `shape`."""
    if values.size == 1:
        return values.reshape((1,) * len(shape))
    sizes = [1] * len(shape)
    sizes[axis] = values.size
    return values.reshape(sizes)


def quantized(values: Array, step: Array, zero: Array) -> Array:
    """Quantize a constant: `step` and `zero` broadcast to it; the result has the type of `zero`."""
    low, high = _limits(zero.dtype)
    levels = np.rint(values.astype(np.float32) / step.astype(np.float32)) + zero.astype(np.float32)
    result: Array = np.clip(levels, low, high).astype(zero.dtype)
    return result


def dequantized(levels: Array, step: Array, zero: Array) -> npt.NDArray[np.float32]:
    """Return the real values of a quantized constant, float32."""
    counts = levels.astype(np.int64) - zero.astype(np.int64)
    return (counts.astype(np.float32) * step.astype(np.float32)).astype(np.float32)
