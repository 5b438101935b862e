"""ONNX's broadcasting in ncnn's four axes.

ONNX aligns shapes at their last axis, ncnn, for operands of different rank, at the first. So the operands are
brought to the same number of axes here: those that the result has in ncnn, or, where that are more than four,
runs of neighbouring axes along which each operand is either whole or repeated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.onnx2ncnn.view import MAX_AXES, Shape, ncnn_axis, ncnn_shape


def broadcast(node: Node, build: Builder, tensors: Sequence[str]) -> tuple[list[str], Shape]:
    """Return a blob for each operand and the shape of the result, so that only axes of size 1 are repeated."""
    shapes = [build.shape(tensor) for tensor in tensors]
    result = np.broadcast_shapes(*shapes)
    if 0 in result:
        raise node.unsupported(f"its result of shape {result} holds no values")
    padded = [(1,) * (len(result) - len(shape)) + shape for shape in shapes]
    if len(result) == 0:
        return [_operand(node, build, tensor, (1,)) for tensor in tensors], (1,)
    native = _native(node, build, tensors, shapes)
    if native is not None:
        return native
    groups = _held_axes(result)
    if groups is None:
        groups = _uniform_runs(padded, result)
    if len(groups) > MAX_AXES:
        raise node.unsupported(f"shapes {shapes} broadcast along more than {MAX_AXES} axes")
    wanted = [tuple(math.prod(shape[i] for i in group) for group in groups) for shape in padded]
    target = tuple(math.prod(result[i] for i in group) for group in groups)
    partners = wanted[::-1] if len(wanted) == 2 else [None] * len(wanted)
    blobs = [
        _operand(node, build, tensor, shape, partner)
        for tensor, shape, partner in zip(tensors, wanted, partners, strict=True)
    ]
    return blobs, target


def _native(
    node: Node, build: Builder, tensors: Sequence[str], shapes: Sequence[Shape]
) -> tuple[list[str], Shape] | None:
    """Take operands of one shape as they stand, if they stand in blobs of one shape."""
    if any(build.constant(tensor) is not None for tensor in tensors) or len(set(shapes)) != 1:
        return None
    views = [build.view(node, tensor) for tensor in tensors]
    sizes = {build.graph.shapes[view.blob] for view in views}
    if len(sizes) != 1 or not all(view.in_order for view in views):
        return None
    return [view.blob for view in views], sizes.pop()


def _held_axes(result: Shape) -> list[list[int]] | None:
    """Return the axes that the result has in ncnn, or None where ncnn merges some."""
    held = [axis for axis in range(len(result)) if ncnn_axis(result, axis) is not None]
    return [[axis] for axis in held] if len(held) == len(ncnn_shape(result)) else None


def _uniform_runs(padded: Sequence[Shape], result: Shape) -> list[list[int]]:
    """Group neighbouring axes along which the same operands are repeated; axes of size 1 go with any."""
    axes = [axis for axis, size in enumerate(result) if size != 1]
    key = lambda axis: tuple(shape[axis] == 1 for shape in padded)  # noqa: E731
    return [list(run) for _, run in itertools.groupby(axes, key)]


def _operand(node: Node, build: Builder, tensor: str, shape: Shape, partner: Shape | None = None) -> str:
    """Return a blob of the operand in `shape`; `partner` is that of the other one, if there is just one."""
    value = build.constant(tensor)
    if value is not None:
        return build.memory(node, value.reshape(shape), tensor, shape)
    view = build.view(node, tensor)
    one_a_channel = (shape[0],) == build.graph.shapes[view.blob] and math.prod(shape[1:]) == 1
    # ncnn repeats a vector along the other axes if it is as long as the other operand's first axis. That one
    # is then no vector itself, so it stands in all axes.
    repeats = partner is not None and partner[0] == shape[0] and math.prod(partner[1:]) > 1
    if one_a_channel and view.in_order and repeats:
        return view.blob
    return build.blob(node, tensor, shape)


def scalar(value: Array | None) -> float | None:
    """Return the one value of a constant, as ncnn's float32; None where it has several, or is none."""
    if value is None or value.size != 1:
        return None
    return float(np.float32(value.reshape(-1)[0]))
