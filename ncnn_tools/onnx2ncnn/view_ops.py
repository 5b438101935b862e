"""Operators that only move values: Reshape, Transpose and their like become views (see `view`)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Node
from ncnn_tools.onnx2ncnn.view import View


def convert_reshape(node: Node, build: Builder) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze → a view of the inferred shape."""
    for name in ("allowzero", "axis", "axes", "shape"):
        node.attribute(name)  # is in the inferred shape
    given, shape = build.shape(node.inputs[0]), build.shape(node.outputs[0])
    if math.prod(given) != math.prod(shape):
        raise node.unsupported(
            f"the model says that {given} becomes {shape}, which holds another number of values"
        )
    build.see(node.outputs[0], build.view(node, node.inputs[0]).reshaped(shape))


def convert_transpose(node: Node, build: Builder) -> None:
    """Transpose → a view."""
    rank = len(build.shape(node.inputs[0]))
    order = [int(axis) for axis in node.attribute("perm", list(range(rank - 1, -1, -1)))]
    build.see(node.outputs[0], transposed(node, build, build.view(node, node.inputs[0]), order))


def convert_depth_to_space(node: Node, build: Builder) -> None:
    """DepthToSpace → a view, which becomes PixelShuffle."""
    block, mode = int(node.attribute("blocksize")), node.attribute("mode", "DCR")
    batch, channels, height, width = build.shape(node.inputs[0])
    outer = channels // block**2
    view = build.view(node, node.inputs[0])
    if mode == "CRD":
        view = view.reshaped((batch, outer, block, block, height, width))
        view = transposed(node, build, view, (0, 1, 4, 2, 5, 3))
    elif mode == "DCR":
        view = view.reshaped((batch, block, block, outer, height, width))
        view = transposed(node, build, view, (0, 3, 4, 1, 5, 2))
    else:
        raise node.unsupported(f"there is no mode {mode!r}", "mode")
    build.see(node.outputs[0], view.reshaped(build.shape(node.outputs[0])))


def convert_space_to_depth(node: Node, build: Builder) -> None:
    """SpaceToDepth → a view, which becomes Reorg."""
    block = int(node.attribute("blocksize"))
    if node.attribute("mode", "DCR") not in ("DCR", "CRD"):
        raise node.unsupported("there is no such mode", "mode")
    batch, channels, height, width = build.shape(node.inputs[0])
    sizes = (batch, channels, height // block, block, width // block, block)
    order = (0, 3, 5, 1, 2, 4) if node.attribute("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    view = transposed(node, build, build.view(node, node.inputs[0]).reshaped(sizes), order)
    build.see(node.outputs[0], view.reshaped(build.shape(node.outputs[0])))


def transposed(node: Node, build: Builder, view: View, order: Sequence[int]) -> View:
    """See a view's axes in another order, moving the values first where it takes that."""
    result = view.transposed(order)
    if result is None:
        blob = build.move(view, (math.prod(view.shape),), f"{node.name}_in_order")
        result = View.of(blob, view.shape).transposed(order)
    assert result is not None  # noqa: S101 - values in order can be seen in any
    return result
