"""Pooling of one or two spatial axes → Pooling."""

from __future__ import annotations

import dataclasses
import math

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Node
from ncnn_tools.onnx2ncnn.view import Shape
from ncnn_tools.onnx2ncnn.window import Window, map_shape
from ncnn_tools.schema import ParamValue, binary_op

_MAX, _AVERAGE = 0, 1
_ABS, _SQUARE, _SQRT = 0, 4, 5  # ncnn's UnaryOp (src/layer/unaryop.h)
_VALID = 1  # ncnn's pad_mode (src/layer/pooling.cpp): the pads as given, and no window beyond them


def convert_global_pooling(node: Node, build: Builder) -> None:
    """GlobalAveragePool, GlobalMaxPool → Pooling to a vector."""
    kind = _MAX if node.operator == "GlobalMaxPool" else _AVERAGE
    add_global_pooling(node, build, kind, map_shape(node, build, node.inputs[0], batch=True))


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
    kind = _MAX if node.operator == "MaxPool" else _AVERAGE
    include = bool(node.attribute("count_include_pad", 0))
    source, target, window, tail = _read_window(node, build)
    whole = window.kernel == source[1:] and not any((*window.before, *window.after))
    if target[1:] == (1, 1) and whole:
        add_global_pooling(node, build, kind, source)
        return
    blob = build.blob(node, node.inputs[0], source)
    if include and any(tail):
        # The pads are counted, but not what the last windows lack beyond them: so the pads become values.
        blob, window = _padded(node, build, blob, source, window)
        include = False
    params = _pooling_params(kind, window, tail, include=include)
    build.add("Pooling", node, [blob], shapes=[target], **params)


def convert_lp_pooling(node: Node, build: Builder) -> None:
    """LpPool of order 1 or 2 → average of the absolute values or squares, times their count, and its root."""
    order = _order(node)
    source, target, window, tail = _read_window(node, build)
    blob = build.blob(node, node.inputs[0], source)
    # Padding adds zeros, so what the last windows lack beyond the pads may as well be pads.
    params = _pooling_params(_AVERAGE, window, tail, include=True)
    values = build.add_hidden("UnaryOp", node, [blob], source, op_type=_ABS if order == 1 else _SQUARE)
    average = build.add_hidden("Pooling", node, [values], target, **params)
    count = {"op_type": binary_op.MUL, "with_scalar": 1, "b": float(math.prod(window.kernel))}
    if order == 1:
        build.add("BinaryOp", node, [average], shapes=[target], **count)
        return
    total = build.add_hidden("BinaryOp", node, [average], target, **count)
    build.add("UnaryOp", node, [total], shapes=[target], op_type=_SQRT)


def convert_global_lp_pooling(node: Node, build: Builder) -> None:
    """GlobalLpPool of order 1 or 2 → Reduction of each map."""
    operation = {1: 7, 2: 8}[_order(node)]  # ncnn's Reduction: L1, L2
    maps, height, width = map_shape(node, build, node.inputs[0], batch=True)
    blob = build.blob(node, node.inputs[0], (maps, height * width))
    build.add(
        "Reduction",
        node,
        [blob],
        shapes=[(maps,)],
        operation=operation,
        reduce_all=0,
        axes=(1,),
        keepdims=0,
        fixbug0=1,
    )


def convert_adaptive_pooling(node: Node, build: Builder) -> None:
    """Adaptive average pooling (see `adaptive_pooling`) → Pooling."""
    source, target = (map_shape(node, build, tensor) for tensor in (node.inputs[0], node.outputs[0]))
    blob = build.blob(node, node.inputs[0], source)
    sizes = {"out_h": target[1], "out_w": target[2]}
    build.add("Pooling", node, [blob], shapes=[target], pooling_type=_AVERAGE, adaptive_pooling=1, **sizes)


def _order(node: Node) -> int:
    order = int(node.attribute("p", 2))
    if order not in (1, 2):
        raise node.unsupported("only the orders 1 and 2 can be converted", "p")
    return order


def _read_window(node: Node, build: Builder) -> tuple[Shape, Shape, Window, tuple[int, int]]:
    """Return the maps before and after, the window over them, and what the last windows lack beyond the pads."""
    tensors = (node.inputs[0], node.outputs[0])
    source, target = (map_shape(node, build, tensor, batch=True) for tensor in tensors)
    window = Window.read(node, [], source[1:])
    if window.dilations != (1, 1):
        raise node.unsupported("ncnn's pooling has no dilation", "dilations")
    return source, target, window, _tail(node, window, source, target)


def _pooling_params(
    kind: int, window: Window, tail: tuple[int, int], *, include: bool
) -> dict[str, ParamValue]:
    after = (window.after[0] + tail[0], window.after[1] + tail[1])
    params = dataclasses.replace(window, after=after).params()
    counted: dict[str, ParamValue] = {"avgpool_count_include_pad": int(include)} if kind == _AVERAGE else {}
    return {"pooling_type": kind, "pad_mode": _VALID, **params, **counted}


def _tail(node: Node, window: Window, source: Shape, target: Shape) -> tuple[int, int]:
    """Return what the last windows lack beyond the pads, along h and w: with `ceil_mode` they may."""
    ceil = bool(node.attribute("ceil_mode", 0))
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
