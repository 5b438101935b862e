"""Pooling of one or two spatial axes → Pooling."""

from __future__ import annotations

import dataclasses

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Node
from ncnn_tools.onnx2ncnn.view import Shape
from ncnn_tools.onnx2ncnn.window import Window, map_shape

_MAX, _AVERAGE = 0, 1
_VALID = 1  # ncnn's pad_mode (src/layer/pooling.cpp): the pads as given, and no window beyond them


def convert_global_pooling(node: Node, build: Builder) -> None:
    """GlobalAveragePool, GlobalMaxPool → Pooling to a vector."""
    kind = _MAX if node.operator == "GlobalMaxPool" else _AVERAGE
    add_global_pooling(node, build, kind, map_shape(node, build, node.inputs[0]))


def add_global_pooling(node: Node, build: Builder, kind: int, source: Shape) -> None:
    """Add the Pooling of whole maps (channels, h, w); its result is a vector."""
    blob = build.blob(node, node.inputs[0], source)
    build.add("Pooling", node, [blob], shapes=[source[:1]], pooling_type=kind, global_pooling=1)


def convert_pooling(node: Node, build: Builder) -> None:
    """MaxPool, AveragePool → Pooling."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.unsupported("its indices can't be converted")
    node.outputs = node.outputs[:1]
    node.attribute("storage_order")  # only concerns the indices
    source, target = (map_shape(node, build, tensor) for tensor in (node.inputs[0], node.outputs[0]))
    window = Window.read(node, [], source[1:])
    if window.dilations != (1, 1):
        raise node.unsupported("ncnn's pooling has no dilation", "dilations")
    kind = _MAX if node.operator == "MaxPool" else _AVERAGE
    include = bool(node.attribute("count_include_pad", 0))
    ceil = bool(node.attribute("ceil_mode", 0))
    if target[1:] == (1, 1) and window.kernel == source[1:] and not any((*window.before, *window.after)):
        add_global_pooling(node, build, kind, source)
        return
    tail = _tail(node, window, source, target, ceil=ceil)
    blob = build.blob(node, node.inputs[0], source)
    if include and any(tail):
        # The pads are counted, but not what the last windows lack beyond them: so the pads become values.
        blob, window = _padded(node, build, blob, source, window)
        include = False
    after = (window.after[0] + tail[0], window.after[1] + tail[1])
    params = dataclasses.replace(window, after=after).params()
    counted = {"avgpool_count_include_pad": int(include)} if kind == _AVERAGE else {}
    build.add(
        "Pooling", node, [blob], shapes=[target], pooling_type=kind, pad_mode=_VALID, **params, **counted
    )


def convert_adaptive_pooling(node: Node, build: Builder) -> None:
    """Adaptive average pooling (see `adaptive_pooling`) → Pooling."""
    source, target = (map_shape(node, build, tensor) for tensor in (node.inputs[0], node.outputs[0]))
    blob = build.blob(node, node.inputs[0], source)
    sizes = {"out_h": target[1], "out_w": target[2]}
    build.add("Pooling", node, [blob], shapes=[target], pooling_type=_AVERAGE, adaptive_pooling=1, **sizes)


def _tail(node: Node, window: Window, source: Shape, target: Shape, *, ceil: bool) -> tuple[int, int]:
    """Return what the last windows lack beyond the pads, along h and w: with `ceil_mode` they may."""
    tail = []
    for axis in (0, 1):
        size = source[1 + axis] + window.before[axis] + window.after[axis]
        step, wanted = window.strides[axis], target[1 + axis]
        room = size - window.kernel[axis]
        windows = -(-room // step) + 1 if ceil else room // step + 1
        # A window that would begin in the padding after the last value is left out: so say AveragePool-22
        # and MaxPool-22, and onnxruntime does so for every opset.
        if ceil and (windows - 1) * step >= source[1 + axis] + window.before[axis]:
            windows -= 1
        if wanted != windows:
            raise node.unsupported(f"should give {windows} windows; the model says {wanted}", "ceil_mode")
        missing = (wanted - 1) * step + window.kernel[axis] - size
        if missing <= -step:  # ncnn would have room for one more
            raise node.unsupported(f"ncnn would give more than {wanted} windows", "ceil_mode")
        tail.append(max(missing, 0))
    return tail[0], tail[1]


def _padded(node: Node, build: Builder, blob: str, source: Shape, window: Window) -> tuple[str, Window]:
    shape = (
        source[0],
        source[1] + window.before[0] + window.after[0],
        source[2] + window.before[1] + window.after[1],
    )
    sides = {
        "top": window.before[0],
        "bottom": window.after[0],
        "left": window.before[1],
        "right": window.after[1],
    }
    padded = build.add_hidden("Padding", node, [blob], shape, **sides)
    return padded, dataclasses.replace(window, before=(0, 0), after=(0, 0))
