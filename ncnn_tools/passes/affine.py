"""Layers that scale and shift: x ↦ f·x + g, with one f and one g along one axis, or the same for all values.

BatchNorm, Scale, Bias, BinaryOp with a scalar or a constant, and UnaryOp's negation are all of this form
(`read_affine`). What a pass makes of them is computed in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.schema import binary_op

Float64 = npt.NDArray[np.float64]
Shape = tuple[int, ...]

_ZERO_DEVIATION = 1e-4  # what ncnn divides by where √(var + eps) is 0 (src/layer/batchnorm.cpp)

# ncnn's BinaryOp and UnaryOp (src/layer/binaryop.h, unaryop.h).
_NEGATE = 1


@dataclass(frozen=True)
class Affine:
    """x ↦ factor·x + offset. Both have one value for each place along `axis`, or one value where it is None."""

    axis: int | None
    factor: Float64
    offset: Float64

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return self.is_scale and bool((self.factor == 1).all())

    @property
    def is_scale(self) -> bool:
        """Whether it leaves zero where it is."""
        return bool((self.offset == 0).all())

    @property
    def is_positive_scale(self) -> bool:
        """Whether it leaves zero where it is and signs as they are."""
        return self.is_scale and bool((self.factor > 0).all())

    def without_offset(self) -> Affine:
        """Return its scale alone."""
        return Affine(self.axis, self.factor, np.zeros_like(self.offset))

    def along(self, axis: int, size: int) -> Affine | None:
        """Return it as one along an axis of this size; None where it is along another one."""
        if self.axis is None:
            return Affine(axis, np.repeat(self.factor, size), np.repeat(self.offset, size))
        return self if self.axis == axis and self.factor.size == size else None

    def part(self, start: int, stop: int) -> Affine:
        """Return what it does from one place along its axis to another."""
        return Affine(self.axis, self.factor[start:stop], self.offset[start:stop])

    def then(self, after: Affine, shape: Shape) -> Affine | None:
        """Return this followed by another one, for a blob of this shape; None where they have different axes."""
        first: Affine | None = self
        axis = self.axis if self.axis is not None else after.axis
        if axis is not None and axis < len(shape):
            first, second = self.along(axis, shape[axis]), after.along(axis, shape[axis])
            if first is None or second is None:
                return None
            after = second
        return Affine(axis, after.factor * self.factor, after.factor * self.offset + after.offset)


def scalar(factor: float, offset: float = 0.0) -> Affine:
    """Return the map that is the same for all values."""
    return Affine(None, np.array([factor], np.float64), np.array([offset], np.float64))


class AffineLayer(NamedTuple):
    """A layer that scales and shifts, the blob that it does it to, and how."""

    layer: Layer
    source: str
    affine: Affine


def read_affine(graph: Graph, layer: Layer, producers: Mapping[str, Layer]) -> AffineLayer | None:
    """Read a layer as an affine map that keeps its input's shape; None where it is none, or overflows."""
    reader = _READERS.get(layer.type)
    found = reader(graph, layer, producers) if reader else None
    if found is None:
        return None
    source, affine = found
    finite = np.isfinite(affine.factor).all() and np.isfinite(affine.offset).all()
    return AffineLayer(layer, source, affine) if finite else None


def batch_norm_factors(norm: Layer) -> tuple[Float64, Float64]:
    """Return (f, g), float64, one a channel, so that a BatchNorm computes f·x + g."""
    slope, mean, var, bias = (
        norm.weights[name].data.astype(np.float64) for name in ("slope", "mean", "var", "bias")
    )
    deviation = np.sqrt(var + norm.get("eps"))
    factor = slope / np.where(deviation == 0, _ZERO_DEVIATION, deviation)
    return factor, bias - factor * mean


def scale_layer(name: str, source: str, target: str, affine: Affine) -> Layer:
    """Return the Scale layer of an affine map along the first axis."""
    shift = not affine.is_scale
    layer = new_layer(
        "Scale", name, [source], [target], scale_data_size=affine.factor.size, bias_term=int(shift)
    )
    layer.set_weight("scale", affine.factor)
    if shift:
        layer.set_weight("bias", affine.offset)
    return layer


def _read_batch_norm(
    _graph: Graph, layer: Layer, _producers: Mapping[str, Layer]
) -> tuple[str, Affine] | None:
    return layer.inputs[0], Affine(0, *batch_norm_factors(layer))


def _read_scale(_graph: Graph, layer: Layer, _producers: Mapping[str, Layer]) -> tuple[str, Affine] | None:
    if len(layer.inputs) != 1:
        return None
    factor = layer.weights["scale"].data.astype(np.float64)
    bias = layer.weights["bias"].data.astype(np.float64) if layer.get("bias_term") else np.zeros_like(factor)
    return layer.inputs[0], Affine(0, factor, bias)


def _read_unary(_graph: Graph, layer: Layer, _producers: Mapping[str, Layer]) -> tuple[str, Affine] | None:
    return (layer.inputs[0], scalar(-1.0)) if layer.get("op_type") == _NEGATE else None


def _read_binary(graph: Graph, layer: Layer, producers: Mapping[str, Layer]) -> tuple[str, Affine] | None:
    code = layer.get("op_type")
    if layer.get("with_scalar"):
        affine = _of_constant(code, None, np.array([layer.get("b")], np.float64), constant_first=False)
        return None if affine is None else (layer.inputs[0], affine)
    for place in (1, 0):
        memory, source = producers.get(layer.inputs[place]), layer.inputs[1 - place]
        shape = graph.shapes.get(source)
        if memory is None or memory.type != "MemoryData" or shape is None:
            continue
        axis = _axis_of_constant(memory_shape(memory), shape)
        values = memory.weights["data"].values().astype(np.float64)
        if shape != graph.shapes.get(layer.outputs[0]) or (axis is None and values.size > 1):
            return None
        affine = _of_constant(code, axis, values, constant_first=place == 0)
        return None if affine is None else (source, affine)
    return None


def _of_constant(code: int, axis: int | None, values: Float64, *, constant_first: bool) -> Affine | None:
    one, zero = np.ones_like(values), np.zeros_like(values)
    if code == binary_op.MUL:
        return Affine(axis, values, zero)
    if code == binary_op.ADD:
        return Affine(axis, one, values)
    if code in (binary_op.SUB, binary_op.REVERSED_SUB):
        constant_taken = (code == binary_op.SUB) != constant_first  # x - c, not c - x
        return Affine(axis, one, -values) if constant_taken else Affine(axis, -one, values)
    if code == binary_op.DIV and not constant_first and (values != 0).all():
        return Affine(axis, 1 / values, zero)
    return None


def _axis_of_constant(sizes: Shape, shape: Shape) -> int | None:
    """Return the one axis of a blob along which a constant differs, or None.

    BinaryOp broadcasts a vector along the first axis of its size among the first and the last, and aligns other
    shapes at the first axis (src/layer/binaryop.cpp).
    """
    if len(sizes) > len(shape):
        return None
    if len(sizes) == 1 and sizes[0] != shape[0]:
        sizes = (1,) * (len(shape) - 1) + sizes
    axes = [axis for axis, size in enumerate(sizes) if size != 1]
    return axes[0] if len(axes) == 1 and sizes[axes[0]] == shape[axes[0]] else None


def memory_shape(memory: Layer) -> Shape:
    """Return the shape of a MemoryData layer's constant."""
    return tuple(size for axis in ("c", "d", "h", "w") if (size := memory.integer(axis)))


_READERS = {
    "BatchNorm": _read_batch_norm,
    "Scale": _read_scale,
    "BinaryOp": _read_binary,
    "UnaryOp": _read_unary,
}
