"""Add, Mul and their like: BinaryOp with a scalar, with a constant, or of two activations; Sum, Mean, Where."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from ncnn_tools.onnx2ncnn.broadcasting import broadcast, scalar
from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.onnx2ncnn.view import Shape
from ncnn_tools.schema import binary_op


class _Operation(NamedTuple):
    code: int
    swapped: int  # the operation that computes it with the operands in the other order


# ncnn's BinaryOp (src/layer/binaryop.h).
_OPERATIONS = {
    "Add": _Operation(binary_op.ADD, binary_op.ADD),
    "Sub": _Operation(binary_op.SUB, binary_op.REVERSED_SUB),
    "Mul": _Operation(binary_op.MUL, binary_op.MUL),
    "Div": _Operation(binary_op.DIV, binary_op.REVERSED_DIV),
    "Max": _Operation(binary_op.MAX, binary_op.MAX),
    "Min": _Operation(binary_op.MIN, binary_op.MIN),
}
_SUMS = {"Sum": binary_op.ADD, "Mean": binary_op.ADD, "Max": binary_op.MAX, "Min": binary_op.MIN}

BINARY_OPERATORS = ("Add", "Sub", "Mul", "Div")
VARIADIC_OPERATORS = tuple(_SUMS)

_MOST_RUNS = 16  # of a Where: each is a Crop
# Exponents that ncnn's UnaryOp computes for any base, and the operation (src/layer/unaryop.h).
_POWERS = {2.0: 4, 0.5: 5, -0.5: 6, -1.0: 15}
_SQUARE, _ABS = _POWERS[2.0], 0


def convert_binary(node: Node, build: Builder) -> None:
    """Add, Sub, Mul, Div, and Max and Min of two → BinaryOp."""
    for name in ("axis", "broadcast"):
        if node.attribute(name):
            raise node.unsupported("broadcasting as before opset 7 can't be converted", name)
    if not all(build.is_float(tensor) for tensor in node.inputs):
        raise node.unsupported("only floats can be computed with")
    operation = _OPERATIONS[node.operator]
    left, right = (scalar(build.constant(tensor)) for tensor in node.inputs)
    if right is not None and _keeps_shape(node, build, 0):
        _with_scalar(node, build, node.inputs[0], right, operation.code)
    elif left is not None and _keeps_shape(node, build, 1):
        _with_scalar(node, build, node.inputs[1], left, operation.swapped)
    else:
        blobs, shape = broadcast(node, build, node.inputs)
        build.add("BinaryOp", node, blobs, shapes=[shape], op_type=operation.code)


def convert_variadic(node: Node, build: Builder) -> None:
    """Sum, Mean, Max, Min of any number → BinaryOps one after the other."""
    if len(node.inputs) == 1:
        build.see(node.outputs[0], build.view(node, node.inputs[0]))
        return
    if len(node.inputs) == 2 and node.operator in _OPERATIONS:
        convert_binary(node, build)
        return
    if not all(build.is_float(tensor) for tensor in node.inputs):
        raise node.unsupported("only floats can be computed with")
    code = _SUMS[node.operator]
    blobs, shape = broadcast(node, build, node.inputs)
    graph = build.graph
    total = blobs[0]
    is_mean = node.operator == "Mean"
    for blob in blobs[1:] if is_mean else blobs[1:-1]:
        wider = np.broadcast_shapes(graph.shapes[total], graph.shapes[blob])
        total = build.add_hidden("BinaryOp", node, [total, blob], wider, op_type=code)
    if is_mean:
        share = 1 / len(node.inputs)
        build.add("BinaryOp", node, [total], shapes=[shape], op_type=binary_op.MUL, with_scalar=1, b=share)
    else:
        build.add("BinaryOp", node, [total, blobs[-1]], shapes=[shape], op_type=code)


def convert_pow(node: Node, build: Builder) -> None:
    """Pow with a constant exponent of -1, ±1/2, 1, 2 or 3, or of a positive constant.

    Any other power ncnn takes as exp(y · log x) where it works on vectors, which is wrong for x <= 0.
    """
    base, power = (scalar(build.constant(tensor)) for tensor in node.inputs)
    if base is not None and base > 0 and _keeps_shape(node, build, 1):
        _with_scalar(node, build, node.inputs[1], base, binary_op.REVERSED_POW)
        return
    if power is None or not _keeps_shape(node, build, 0):
        raise node.unsupported("its exponent should be one constant")
    if power == 1:
        build.see(node.outputs[0], build.view(node, node.inputs[0]))
        return
    blob = build.blob_in_order(node, node.inputs[0])
    shape = build.graph.shapes[blob]
    if power in _POWERS:
        build.add("UnaryOp", node, [blob], shapes=[shape], op_type=_POWERS[power])
    elif power == 3:
        square = build.add_hidden("UnaryOp", node, [blob], shape, op_type=_SQUARE)
        build.add("BinaryOp", node, [square, blob], shapes=[shape], op_type=binary_op.MUL)
    else:
        raise node.unsupported("its exponent should be the constant -1, -0.5, 0.5, 1, 2 or 3")


def convert_where(node: Node, build: Builder) -> None:
    """Where with a constant condition → rows of both joined, or x · c + y · (1 - c), c being 1 and 0.

    The latter is exact for finite x and y. A constant branch is added as it is, so that it may hold infinities.
    """
    condition = build.constant(node.inputs[0])
    if condition is None:
        raise node.unsupported("its condition should be constant")
    if condition.all() or not condition.any():
        chosen = node.inputs[1 if condition.all() else 2]
        if build.shape(chosen) == build.shape(node.outputs[0]):
            build.see(node.outputs[0], build.view(node, chosen))
            return
    if _where_by_rows(node, build, condition):
        return
    masks = {1: condition.astype(np.float32), 2: (~condition.astype(bool)).astype(np.float32)}
    parts = []
    for index, mask in masks.items():
        tensor = node.inputs[index]
        value = build.constant(tensor)
        name = f"{node.outputs[0]}_{'where' if index == 1 else 'else'}"
        if value is not None:
            build.define(name, np.where(mask, value, 0).astype(np.float32))
        else:
            blobs, shape = broadcast(node, build, [tensor, build.define(f"{name}_mask", mask)])
            blob = build.add_hidden("BinaryOp", node, blobs, shape, op_type=binary_op.MUL)
            full = np.broadcast_shapes(build.shape(tensor), mask.shape)
            build.see_hidden(name, blob, full)
        parts.append(name)
    blobs, shape = broadcast(node, build, parts)
    build.add("BinaryOp", node, blobs, shapes=[shape], op_type=binary_op.ADD)


def _where_by_rows(node: Node, build: Builder, condition: Array) -> bool:
    """Join rows of both where the condition holds for whole runs of them; say whether there are few enough.

    Unlike products with 0 and 1 this also drops infinities and NaN of what is not chosen.
    """
    shape = build.shape(node.outputs[0])
    if any(build.shape(tensor) != shape for tensor in node.inputs[1:] if build.constant(tensor) is None):
        return False
    full = np.broadcast_to(condition, shape).reshape(-1)
    ends = [*(np.flatnonzero(full[1:] != full[:-1]) + 1).tolist(), full.size]
    inner = math.gcd(*ends)
    if len(ends) > _MOST_RUNS or (inner == 1 and full.size > _MOST_RUNS):
        return False
    rows = (full.size // inner, inner) if inner > 1 else (full.size,)
    parts = []
    for start, end in itertools.pairwise([0, *ends]):
        tensor = node.inputs[1 if full[start] else 2]
        part = (end // inner - start // inner, *rows[1:])
        value = build.constant(tensor)
        if value is not None:
            taken = np.broadcast_to(value, shape).reshape(-1)[start:end].reshape(part)
            parts.append(build.memory(node, taken, f"{node.name}_rows", part))
            continue
        bounds = {"starts": (start // inner,), "ends": (end // inner,), "axes": (0,)}
        parts.append(build.add_hidden("Crop", node, [build.blob(node, tensor, rows)], part, **bounds))
    build.add("Concat", node, parts, shapes=[rows], axis=0)
    return True


def convert_expand(node: Node, build: Builder) -> None:
    """Expand → a view where the shape stays, otherwise a product with ones."""
    if build.constant(node.inputs[1]) is None:
        raise node.unsupported("its shape should be constant", "shape")
    shape = build.shape(node.outputs[0])
    if shape == build.shape(node.inputs[0]):
        build.see(node.outputs[0], build.view(node, node.inputs[0]))
        return
    ones = build.define(f"{node.outputs[0]}_ones", np.ones(shape, np.float32))
    blobs, target = broadcast(node, build, [node.inputs[0], ones])
    build.add("BinaryOp", node, blobs, shapes=[target], op_type=binary_op.MUL)


def _keeps_shape(node: Node, build: Builder, index: int) -> bool:
    return build.shape(node.outputs[0]) == build.shape(node.inputs[index])


def _with_scalar(node: Node, build: Builder, tensor: str, value: float, code: int) -> None:
    blob = build.blob_in_order(node, tensor)
    shape: Shape = build.graph.shapes[blob]
    build.add("BinaryOp", node, [blob], shapes=[shape], op_type=code, with_scalar=1, b=value)
