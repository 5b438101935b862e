"""Activations, Softmax and the operators of one input that ncnn computes point by point."""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from ncnn_tools.graph import Layer
from ncnn_tools.onnx2ncnn.broadcasting import broadcast
from ncnn_tools.onnx2ncnn.builder import Builder, as_floats
from ncnn_tools.onnx2ncnn.source import Node
from ncnn_tools.onnx2ncnn.view import Shape, ncnn_axis
from ncnn_tools.schema import ParamValue, binary_op

# ncnn's UnaryOp (src/layer/unaryop.h).
_UNARY = {
    "Abs": 0,
    "Neg": 1,
    "Floor": 2,
    "Ceil": 3,
    "Sqrt": 5,
    "Exp": 7,
    "Log": 8,
    "Sin": 9,
    "Cos": 10,
    "Tan": 11,
    "Asin": 12,
    "Acos": 13,
    "Atan": 14,
    "Reciprocal": 15,
    "Tanh": 16,
    "Round": 18,
    "Sign": 20,
    "Sinh": 22,
    "Asinh": 23,
    "Cosh": 24,
    "Acosh": 25,
    "Atanh": 26,
}

UNARY_OPERATORS = tuple(_UNARY)

FLOAT_MAX = float(np.finfo(np.float32).max)

_SMALLEST_SLOPE = 1e-6  # of HardSigmoid: 1/alpha and beta/alpha should be far from overflow


def convert_unary(node: Node, build: Builder) -> None:
    """Abs, Neg, Floor, … → UnaryOp."""
    _pointwise("UnaryOp", node, build, op_type=_UNARY[node.operator])


def convert_relu(node: Node, build: Builder) -> None:
    """Relu and LeakyRelu → ReLU."""
    slope = float(node.attribute("alpha", 0.01)) if node.operator == "LeakyRelu" else 0.0
    _pointwise("ReLU", node, build, slope=slope)


def convert_plain(node: Node, build: Builder) -> None:
    """Erf, Mish, Sigmoid, Softplus → the layer of that name."""
    _pointwise(node.operator, node, build)


def convert_elu(node: Node, build: Builder) -> None:
    """Elu, Celu → ELU, CELU."""
    _pointwise(node.operator.upper(), node, build, alpha=float(node.attribute("alpha", 1.0)))


def convert_selu(node: Node, build: Builder) -> None:
    """Selu → SELU: gamma · (x, or alpha · (exp(x) - 1) below 0)."""
    # The defaults are those of the ONNX operator specification.
    alpha, gamma = (
        node.attribute("alpha", 1.67326319217681884765625),
        node.attribute("gamma", 1.05070102214813),
    )
    _pointwise("SELU", node, build, alpha=float(alpha), gamma=float(gamma))


def convert_gelu(node: Node, build: Builder) -> None:
    """Gelu → GELU."""
    approximate = node.attribute("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise node.unsupported(f"there is no approximation {approximate!r}", "approximate")
    _pointwise("GELU", node, build, fast_gelu=int(approximate == "tanh"))


def convert_swish(node: Node, build: Builder) -> None:
    """Swish with an alpha of 1 → Swish; any other is read as ONNX defines it."""
    node.attribute("alpha")
    _pointwise("Swish", node, build)


def convert_softsign(node: Node, build: Builder) -> None:
    """Softsign → x / (1 + |x|)."""
    blob = build.blob_in_order(node, node.inputs[0])
    shape = build.graph.shapes[blob]
    size = build.add_hidden("UnaryOp", node, [blob], shape, op_type=_UNARY["Abs"])
    above = build.add_hidden("BinaryOp", node, [size], shape, op_type=binary_op.ADD, with_scalar=1, b=1.0)
    build.add("BinaryOp", node, [blob, above], shapes=[shape], op_type=binary_op.DIV)


def convert_log_softmax(node: Node, build: Builder) -> None:
    """LogSoftmax → Softmax and a logarithm: exact while no share is below float32's smallest."""
    blob, axis, shape = _softmax_axis(node, build)
    shares = build.add_hidden("Softmax", node, [blob], shape, axis=axis, fixbug0=1)
    build.add("UnaryOp", node, [shares], shapes=[shape], op_type=_UNARY["Log"])


def convert_hard_sigmoid(node: Node, build: Builder) -> None:
    """HardSigmoid → HardSigmoid."""
    alpha, beta = float(node.attribute("alpha", 0.2)), float(node.attribute("beta", 0.5))
    if alpha < _SMALLEST_SLOPE:
        raise node.unsupported(
            "ncnn divides by it to find where the slope ends: it should be positive", "alpha"
        )
    _pointwise("HardSigmoid", node, build, alpha=alpha, beta=beta)


def convert_hard_swish(node: Node, build: Builder) -> None:
    """HardSwish → HardSwish: x · max(0, min(1, x/6 + 1/2)) (ONNX operator specification)."""
    _pointwise("HardSwish", node, build, alpha=1 / 6, beta=0.5)


def convert_shrink(node: Node, build: Builder) -> None:
    """Shrink → Shrink."""
    _pointwise(
        "Shrink",
        node,
        build,
        bias=float(node.attribute("bias", 0.0)),
        lambd=float(node.attribute("lambd", 0.5)),
    )


def convert_thresholded_relu(node: Node, build: Builder) -> None:
    """ThresholdedRelu → x times 1 where it is above the threshold, 0 elsewhere."""
    blob = build.blob_in_order(node, node.inputs[0])
    shape = build.graph.shapes[blob]
    alpha = float(node.attribute("alpha", 1.0))
    above = build.add_hidden("Threshold", node, [blob], shape, threshold=alpha)
    build.add("BinaryOp", node, [blob, above], shapes=[shape], op_type=binary_op.MUL)


def convert_clip(node: Node, build: Builder) -> None:
    """Clip with constant bounds (inputs from opset 11 on, attributes before) → Clip."""
    low = _bound(node, build, 1, "min", -FLOAT_MAX)
    high = _bound(node, build, 2, "max", FLOAT_MAX)
    _pointwise("Clip", node, build, min=low, max=high)


def _bound(node: Node, build: Builder, index: int, name: str, default: float) -> float:
    if node.has_input(index):
        value = build.constant(node.inputs[index])
        if value is None:
            raise node.unsupported("its bounds should be constants", name)
        return float(np.clip(value.reshape(-1)[0], -FLOAT_MAX, FLOAT_MAX))
    return float(np.clip(node.attribute(name, default), -FLOAT_MAX, FLOAT_MAX))


def convert_prelu(node: Node, build: Builder) -> None:
    """PRelu with one slope or one a channel → PReLU; with any other → max(x, 0) + slope · min(x, 0)."""
    shape, slopes = (build.shape(tensor) for tensor in node.inputs)
    values = build.constant(node.inputs[1])
    one_a_channel = (1,) * (len(shape) - len(slopes)) + slopes == tuple(
        size if axis == 1 else 1 for axis, size in enumerate(shape)
    )
    if values is not None and values.size == 1:
        layer = _pointwise("PReLU", node, build, num_slope=1)
    elif values is not None and one_a_channel and ncnn_axis(shape, 1) == 0:
        layer = build.add("PReLU", node, [build.blob(node, node.inputs[0])], num_slope=int(values.size))
    else:
        _prelu_in_parts(node, build)
        return
    layer.set_weight("slope", as_floats(values))


def _prelu_in_parts(node: Node, build: Builder) -> None:
    (blob, slopes), shape = broadcast(node, build, node.inputs)
    above = build.add_hidden("BinaryOp", node, [blob], shape, op_type=binary_op.MAX, with_scalar=1, b=0.0)
    below = build.add_hidden("BinaryOp", node, [blob], shape, op_type=binary_op.MIN, with_scalar=1, b=0.0)
    scaled = build.add_hidden("BinaryOp", node, [below, slopes], shape, op_type=binary_op.MUL)
    build.add("BinaryOp", node, [above, scaled], shapes=[shape], op_type=binary_op.ADD)


def convert_softmax(node: Node, build: Builder) -> None:
    """Softmax over one axis → Softmax."""
    blob, axis, shape = _softmax_axis(node, build)
    build.add("Softmax", node, [blob], shapes=[shape], axis=axis, fixbug0=1)


def _softmax_axis(node: Node, build: Builder) -> tuple[str, int, Shape]:
    tensor = node.inputs[0]
    shape = build.shape(tensor)
    axis = build.positive_axis(node, tensor, node.attribute("axis", -1 if node.opset >= 13 else 1))
    if node.opset < 13 and any(size != 1 for size in shape[axis + 1 :]):
        # Before opset 13 Softmax ran over all axes from `axis` on, flattened.
        rows = (math.prod(shape[:axis]), math.prod(shape[axis:]))
        return build.blob(node, tensor, rows), 1, rows
    return build.blob_around(node, tensor, axis)


def convert_dropout(node: Node, build: Builder) -> None:
    """Dropout at inference gives what it takes: a view."""
    for name in ("ratio", "seed", "is_test"):
        node.attribute(name)  # has no effect on inference
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.unsupported("its mask can't be converted")
    if node.has_input(2) and np.any(build.constant(node.inputs[2])):
        raise node.unsupported("export the network in eval mode", "training_mode")
    build.see(node.outputs[0], build.view(node, node.inputs[0]))


def convert_identity(node: Node, build: Builder) -> None:
    """Identity → a view."""
    build.see(node.outputs[0], build.view(node, node.inputs[0]))


def convert_cast(node: Node, build: Builder) -> None:
    """Cast to a float type → a view: ncnn computes in float32, whatever the model says."""
    like = node.operator == "CastLike"
    kind = build.source.element_type(node.inputs[1]) if like else int(node.attribute("to"))
    for name in ("saturate", "round_mode"):
        node.attribute(name)  # concern 8-bit floats
    if kind not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise node.unsupported("only casts to float32 and float64 change no values", "to")
    build.see(node.outputs[0], build.view(node, node.inputs[0]))


def _pointwise(kind: str, node: Node, build: Builder, **params: ParamValue) -> Layer:
    """Add a layer that treats each value alike, so that the shape of the blob does not matter."""
    blob = build.blob_in_order(node, node.inputs[0])
    return build.add(kind, node, [blob], shapes=[build.graph.shapes[blob]], **params)
