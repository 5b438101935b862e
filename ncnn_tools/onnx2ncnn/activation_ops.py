"""Activations, BatchNormalization, Softmax and the operators of one input that ncnn computes point by point."""

from __future__ import annotations

import numpy as np

from ncnn_tools.onnx2ncnn.builder import Builder, as_floats
from ncnn_tools.onnx2ncnn.source import Node

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
    "Reciprocal": 15,
    "Tanh": 16,
}

UNARY_OPERATORS = tuple(_UNARY)

FLOAT_MAX = float(np.finfo(np.float32).max)

_SMALLEST_SLOPE = 1e-6  # of HardSigmoid: 1/alpha and beta/alpha should be far from overflow


def convert_unary(node: Node, build: Builder) -> None:
    """Abs, Neg, Floor, … → UnaryOp."""
    build.add("UnaryOp", node, [_only_input(node, build)], op_type=_UNARY[node.operator])


def convert_relu(node: Node, build: Builder) -> None:
    """Relu and LeakyRelu → ReLU."""
    slope = float(node.attribute("alpha", 0.01)) if node.operator == "LeakyRelu" else 0.0
    build.add("ReLU", node, [_only_input(node, build)], slope=slope)


def convert_sigmoid(node: Node, build: Builder) -> None:
    """Sigmoid → Sigmoid."""
    build.add("Sigmoid", node, [_only_input(node, build)])


def convert_hard_sigmoid(node: Node, build: Builder) -> None:
    """HardSigmoid → HardSigmoid."""
    alpha, beta = float(node.attribute("alpha", 0.2)), float(node.attribute("beta", 0.5))
    if alpha < _SMALLEST_SLOPE:
        raise node.unsupported(
            "ncnn divides by it to find where the slope ends: it should be positive", "alpha"
        )
    build.add("HardSigmoid", node, [_only_input(node, build)], alpha=alpha, beta=beta)


def convert_hard_swish(node: Node, build: Builder) -> None:
    """HardSwish → HardSwish: x · max(0, min(1, x/6 + 1/2)) (ONNX operator specification)."""
    build.add("HardSwish", node, [_only_input(node, build)], alpha=1 / 6, beta=0.5)


def convert_clip(node: Node, build: Builder) -> None:
    """Clip with constant bounds (inputs from opset 11 on, attributes before) → Clip."""
    low = _bound(node, build, 1, "min", -FLOAT_MAX)
    high = _bound(node, build, 2, "max", FLOAT_MAX)
    build.add("Clip", node, [build.blob(node, node.inputs[0])], min=low, max=high)


def _bound(node: Node, build: Builder, index: int, name: str, default: float) -> float:
    if node.has_input(index):
        value = build.constant(node.inputs[index])
        if value is None:
            raise node.unsupported("its bounds should be constants", name)
        return float(np.clip(value.reshape(-1)[0], -FLOAT_MAX, FLOAT_MAX))
    return float(np.clip(node.attribute(name, default), -FLOAT_MAX, FLOAT_MAX))


def convert_prelu(node: Node, build: Builder) -> None:
    """PRelu with one slope or one a channel → PReLU."""
    slope = build.constant(node.inputs[1])
    if slope is None:
        raise node.unsupported("its slope should be constant")
    shape = build.ncnn_shape(node, node.inputs[0])
    full = slope.reshape((1,) * (len(shape) + 1 - slope.ndim) + slope.shape)
    if slope.size != 1 and full.shape != (1, shape[0], *(1 for _ in shape[1:])):
        raise node.unsupported(f"slope of shape {slope.shape} is neither one value nor one a channel")
    layer = build.add("PReLU", node, [build.blob(node, node.inputs[0])], num_slope=int(slope.size))
    layer.set_weight("slope", as_floats(slope))


def convert_batch_normalization(node: Node, build: Builder) -> None:
    """BatchNormalization with its statistics as constants → BatchNorm."""
    if node.attribute("training_mode", 0):
        raise node.unsupported("export the network in eval mode", "training_mode")
    values = [build.constant(tensor) for tensor in node.inputs[1:5]]
    node.attribute("momentum")  # has no effect on inference
    if node.attribute("spatial", 1) != 1:
        raise node.unsupported("statistics for each position can't be converted", "spatial")
    eps = float(node.attribute("epsilon", 1e-5))
    layer = build.add(
        "BatchNorm",
        node,
        [build.blob(node, node.inputs[0])],
        channels=build.shape(node.inputs[0])[1],
        eps=eps,
    )
    for name, value in zip(("slope", "bias", "mean", "var"), values, strict=True):
        if value is None:
            raise node.unsupported("its statistics should be constants")
        layer.set_weight(name, as_floats(value))
    layer.weights = {spec.name: layer.weights[spec.name] for spec in layer.weight_specs()}


def convert_softmax(node: Node, build: Builder) -> None:
    """Softmax over one axis → Softmax."""
    tensor = node.inputs[0]
    shape = build.ncnn_shape(node, tensor)
    axis = build.axis(node, tensor, node.attribute("axis", -1 if node.opset >= 13 else 1))
    # Before opset 13 Softmax ran over all axes from `axis` on, flattened.
    if node.opset < 13 and any(size != 1 for size in shape[axis + 1 :]):
        raise node.unsupported("over several axes at once; export with opset 13 or later", "axis")
    build.add("Softmax", node, [build.blob(node, tensor)], axis=axis, fixbug0=1)


def convert_identity(node: Node, build: Builder) -> None:
    """Identity, and Dropout at inference → Noop, which a pass removes."""
    if node.operator == "Dropout":
        for name in ("ratio", "seed", "is_test"):
            node.attribute(name)  # has no effect on inference
        if len(node.outputs) > 1 and node.outputs[1]:
            raise node.unsupported("its mask can't be converted")
        node.outputs = node.outputs[:1]
    build.add("Noop", node, [build.blob(node, node.inputs[0])])


def _only_input(node: Node, build: Builder) -> str:
    return build.blob(node, node.inputs[0])
