"""Pad → Padding and Crop."""

from __future__ import annotations

import math

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.shape_ops import integers, pick
from ncnn_tools.onnx2ncnn.source import Node
from ncnn_tools.onnx2ncnn.view import Shape, View

# ncnn's Padding (src/layer/padding.cpp).
_PAD_TYPES = {"constant": 0, "edge": 1, "reflect": 2}


def convert_pad(node: Node, build: Builder) -> None:
    """Pad of the last two axes, and of channels with a constant → Padding; negative pads → Crop."""
    mode = node.attribute("mode", "constant")
    if mode not in _PAD_TYPES:
        raise node.unsupported(f"ncnn has no padding mode {mode!r}", "mode")
    value = float(node.attribute("value", 0.0))
    if node.has_input(2):
        constant = build.constant(node.inputs[2])
        if constant is None:
            raise node.unsupported("its value should be constant", "value")
        value = float(constant.reshape(-1)[0])
    pads = _pads(node, build)
    view = build.view(node, node.inputs[0])
    for axis, (before, after) in pads.items():
        if before < 0 or after < 0:
            indices = range(max(-before, 0), view.shape[axis] - max(-after, 0))
            if not indices:
                raise node.unsupported("its result is empty", "pads")
            view = pick(node, build, view, axis, list(indices))
    grown = {axis: (max(b, 0), max(a, 0)) for axis, (b, a) in pads.items() if max(b, a) > 0}
    if not grown:
        build.see(node.outputs[0], view)
        return
    _add_padding(node, build, view, grown, mode, value)


def _add_padding(
    node: Node, build: Builder, view: View, pads: dict[int, tuple[int, int]], mode: str, value: float
) -> None:
    rank = len(view.shape)
    lower = [axis for axis in pads if axis < rank - 2]
    if lower and (len(lower) > 1 or mode != "constant"):
        raise node.unsupported("only the last two axes, or one more with a constant, can be padded", "pads")
    channel = lower[0] if lower else max(rank - 3, 0)
    outer = math.prod(view.shape[:channel])
    if lower and outer != 1:
        raise node.unsupported("axes before the padded ones should be of size 1", "pads")
    height, width = (view.shape[axis] if axis >= 0 else 1 for axis in (rank - 2, rank - 1))
    maps = math.prod(view.shape[: max(rank - 2, 0)])
    if lower:  # (the padded axis, what lies between, h, w)
        between = math.prod(view.shape[channel + 1 : rank - 2])
        if between != 1:
            raise node.unsupported("only neighbouring axes can be padded together", "pads")
    source = (maps, height, width) if rank > 1 else (width,)
    (top, bottom), (left, right) = (pads.get(axis, (0, 0)) for axis in (rank - 2, rank - 1))
    front, behind = pads[channel] if lower else (0, 0)
    params = {
        "top": top,
        "bottom": bottom,
        "left": left,
        "right": right,
        "type": _PAD_TYPES[mode],
        "value": value,
    }
    if lower:
        params |= {"front": front, "behind": behind}
    target: Shape = (width + left + right,)
    if rank > 1:
        target = (maps + front + behind, height + top + bottom, width + left + right)
    blob = build.move(view, source, f"{node.name}_input")
    build.add("Padding", node, [blob], shapes=[target], **params)


def _pads(node: Node, build: Builder) -> dict[int, tuple[int, int]]:
    """Return the pads before and after each axis that has any."""
    tensor = node.inputs[0]
    rank = len(build.shape(tensor))
    pads = integers(node, build, 1, "pads")
    axes = integers(node, build, 3, "axes") or list(range(rank))
    if pads is None or len(pads) != 2 * len(axes):
        raise node.unsupported("its pads should be constants, one pair for each axis", "pads")
    pairs = zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True)
    return {
        build.positive_axis(node, tensor, axis, "axes"): (before, after)
        for axis, before, after in pairs
        if before or after
    }
