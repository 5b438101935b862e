"""Add, Mul and their like: BinaryOp with a scalar, with a constant, or of two activations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Array, Node


class _Operation(NamedTuple):
    code: int
    swapped: int  # the operation that computes it with the operands in the other order


# ncnn's BinaryOp (src/layer/binaryop.h).
_OPERATIONS = {
    "Add": _Operation(0, 0),
    "Sub": _Operation(1, 7),
    "Mul": _Operation(2, 2),
    "Div": _Operation(3, 8),
    "Max": _Operation(4, 4),
    "Min": _Operation(5, 5),
}

BINARY_OPERATORS = tuple(_OPERATIONS)

_POWER_OF_SCALAR = 9  # BinaryOp: scalar to the power of x
# Exponents that ncnn's UnaryOp computes for any base, and the operation (src/layer/unaryop.h).
_POWERS = {2.0: 4, 0.5: 5, -0.5: 6, -1.0: 15}
_SQUARE = _POWERS[2.0]


def convert_binary(node: Node, build: Builder) -> None:
    """Add, Sub, Mul, Div, and Max and Min of two → BinaryOp.

    ONNX aligns shapes of different rank at their last axis, ncnn mostly at the first: the shorter operand is
    given the other's rank here, so that only axes of size 1 broadcast.
    """
    if len(node.inputs) != 2:
        raise node.unsupported(f"has {len(node.inputs)} inputs; only two can be converted")
    operation = _OPERATIONS[node.operator]
    left, right = (build.constant(tensor) for tensor in node.inputs)
    if right is not None and right.size == 1:
        _with_scalar(node, build, node.inputs[0], right, operation.code)
    elif left is not None and left.size == 1:
        _with_scalar(node, build, node.inputs[1], left, operation.swapped)
    else:
        rank = max(len(build.shape(tensor)) for tensor in node.inputs)
        blobs = [_operand(node, build, tensor, rank) for tensor in node.inputs]
        build.add("BinaryOp", node, blobs, op_type=operation.code)


def convert_pow(node: Node, build: Builder) -> None:
    """Pow with a constant exponent of -1, ±1/2, 1, 2 or 3, or of a positive constant.

    Any other power ncnn takes as exp(y · log x) where it works on vectors, which is wrong for x <= 0.
    """
    base, exponent = (build.constant(tensor) for tensor in node.inputs)
    if base is not None and base.size == 1 and base.reshape(-1)[0] > 0:
        _with_scalar(node, build, node.inputs[1], base, _POWER_OF_SCALAR)
        return
    power = float(exponent.reshape(-1)[0]) if exponent is not None and exponent.size == 1 else None
    if len(build.shape(node.outputs[0])) != len(build.shape(node.inputs[0])):
        raise node.unsupported("the constant adds axes to the result")
    blob = build.blob(node, node.inputs[0])
    if power in _POWERS:
        build.add("UnaryOp", node, [blob], op_type=_POWERS[power])
    elif power == 1:
        build.add("Noop", node, [blob])
    elif power == 3:
        square = build.add_hidden("UnaryOp", node, [blob], op_type=_SQUARE)
        build.add("BinaryOp", node, [*square.outputs, blob], op_type=_OPERATIONS["Mul"].code)
    else:
        raise node.unsupported("its exponent should be the constant -1, -0.5, 0.5, 1, 2 or 3")


def _with_scalar(node: Node, build: Builder, tensor: str, value: Array, code: int) -> None:
    if len(build.shape(node.outputs[0])) != len(build.shape(tensor)):
        raise node.unsupported("the constant adds axes to the result")
    scalar = float(np.float32(value.reshape(-1)[0]))
    build.add("BinaryOp", node, [build.blob(node, tensor)], op_type=code, with_scalar=1, b=scalar)


def _operand(node: Node, build: Builder, tensor: str, rank: int) -> str:
    value = build.constant(tensor)
    if value is not None:
        full = value.reshape((1,) * (rank - value.ndim) + value.shape)
        sizes: tuple[int, ...] = full.shape
        if sizes[0] != 1:
            raise node.unsupported(f"constant {tensor!r} of shape {value.shape} differs along the batch")
        return build.memory(node, full, tensor)
    shape = build.ncnn_shape(node, tensor)
    blob = build.blob(node, tensor)
    missing = rank - 1 - len(shape)
    return build.reshape(node, blob, (1,) * missing + shape) if missing else blob
