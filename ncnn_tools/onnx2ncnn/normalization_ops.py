"""BatchNormalization, InstanceNormalization, GroupNormalization, LayerNormalization, RMSNormalization."""

from __future__ import annotations

import math

import numpy as np

from ncnn_tools.graph import Layer
from ncnn_tools.onnx2ncnn.broadcasting import broadcast
from ncnn_tools.onnx2ncnn.builder import Builder, as_floats
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.onnx2ncnn.view import Shape
from ncnn_tools.schema import binary_op

_SMALLEST = float(np.finfo(np.float32).tiny)
_MVN_EPSILON = 1e-9  # added to the deviation, in ONNX's definition and in ncnn (src/layer/mvn.cpp)


def convert_batch_normalization(node: Node, build: Builder) -> None:
    """BatchNormalization with its statistics as constants → BatchNorm."""
    if node.attribute("training_mode", 0):
        raise node.unsupported("export the network in eval mode", "training_mode")
    node.attribute("momentum")  # has no effect on inference
    if node.attribute("spatial", 1) != 1:
        raise node.unsupported("statistics for each position can't be converted", "spatial")
    node.outputs = node.outputs[:1]
    channels = _channels(node, build)
    values = [_constant(node, build, index, channels) for index in range(1, 5)]
    eps = float(node.attribute("epsilon", 1e-5))
    if build.shape(node.inputs[0])[0] != 1:
        _scale_and_shift(node, build, [value.astype(np.float64) for value in values], eps)
        return
    blob, shape = _channels_first(node, build)
    layer = build.add("BatchNorm", node, [blob], shapes=[shape], channels=channels, eps=eps)
    for name, value in zip(("slope", "bias", "mean", "var"), values, strict=True):
        layer.set_weight(name, as_floats(value))
    layer.weights = {spec.name: layer.weights[spec.name] for spec in layer.weight_specs()}


def _scale_and_shift(node: Node, build: Builder, values: list[Array], eps: float) -> None:
    """Normalize channels that are not the first axis in ncnn: a factor and an offset for each."""
    slope, bias, mean, var = values
    factor = slope / np.sqrt(var + eps)
    tensor, result = node.inputs[0], node.outputs[0]
    shape = (-1, *(1 for _ in build.shape(tensor)[2:]))
    constants = {f"{result}_factor": factor, f"{result}_offset": bias - factor * mean}
    scale, shift = (
        build.define(name, value.astype(np.float32).reshape(shape)) for name, value in constants.items()
    )
    blobs, target = broadcast(node, build, [tensor, scale])
    scaled = build.add_hidden("BinaryOp", node, blobs, target, op_type=binary_op.MUL)
    build.see_hidden(f"{result}_scaled", scaled, build.shape(tensor))
    blobs, target = broadcast(node, build, [f"{result}_scaled", shift])
    build.add("BinaryOp", node, blobs, shapes=[target], op_type=binary_op.ADD)


def convert_instance_normalization(node: Node, build: Builder) -> None:
    """InstanceNormalization → InstanceNorm of (channels, spatial axes)."""
    shape = build.shape(node.inputs[0])
    if len(shape) < 3:
        raise node.unsupported(f"shape {shape} should have a batch, channels and spatial axes")
    # Each map is normalized by itself, so those of a batch count as more channels.
    channels = shape[0] * shape[1]
    gamma, beta = (np.tile(_constant(node, build, index, shape[1]), shape[0]) for index in (1, 2))
    blob = _maps(node, build, (channels, 1, math.prod(shape[2:])))
    eps = float(node.attribute("epsilon", 1e-5))
    layer = build.add(
        "InstanceNorm", node, [blob], shapes=[build.graph.shapes[blob]], channels=channels, eps=eps
    )
    layer.set_weight("gamma", as_floats(gamma))
    layer.set_weight("beta", as_floats(beta))


def convert_group_normalization(node: Node, build: Builder) -> None:
    """GroupNormalization with a scale and a bias for each channel → GroupNorm."""
    shape = build.shape(node.inputs[0])
    if len(shape) < 2:
        raise node.unsupported(f"shape {shape} should have a batch and channels")
    node.attribute("stash_type")  # the precision of the sums, which are float32 here
    # Each group is normalized by itself, so those of a batch count as more groups.
    channels, groups = shape[0] * shape[1], shape[0] * int(node.attribute("num_groups"))
    gamma, beta = (np.tile(_constant(node, build, index, shape[1]), shape[0]) for index in (1, 2))
    blob = _maps(node, build, (channels, 1, math.prod(shape[2:])))
    eps = float(node.attribute("epsilon", 1e-5))
    params = {"group": groups, "channels": channels, "eps": eps}
    layer = build.add("GroupNorm", node, [blob], shapes=[build.graph.shapes[blob]], **params)
    layer.set_weight("gamma", as_floats(gamma))
    layer.set_weight("beta", as_floats(beta))


def convert_layer_normalization(node: Node, build: Builder) -> None:
    """LayerNormalization over the last axes, with constant scale and bias → LayerNorm."""
    node.outputs = _only_result(node)
    gamma = _affine(node, build, 1)
    beta = _affine(node, build, 2) if node.has_input(2) else None
    layer = _last_axes(node, build, "LayerNorm")
    size = layer.integer("affine_size")
    layer.set_weight("gamma", np.broadcast_to(gamma.reshape(-1), (size,)))
    layer.set_weight("beta", np.zeros(size) if beta is None else np.broadcast_to(beta.reshape(-1), (size,)))


def convert_rms_normalization(node: Node, build: Builder) -> None:
    """RMSNormalization over the last axes, with a constant scale → RMSNorm."""
    gamma = _affine(node, build, 1)
    layer = _last_axes(node, build, "RMSNorm")
    layer.set_weight("gamma", np.broadcast_to(gamma.reshape(-1), (layer.integer("affine_size"),)))


def convert_mean_variance_normalization(node: Node, build: Builder) -> None:
    """MeanVarianceNormalization of each map, or of all of them → MVN."""
    shape = build.shape(node.inputs[0])
    if len(shape) < 3 or shape[0] != 1:
        raise node.unsupported(f"shape {shape} should have a batch of 1, channels and spatial axes")
    chosen = {axis % len(shape) for axis in node.attribute("axes", [0, 2, 3])}
    kept = {axis for axis, size in enumerate(shape) if axis not in chosen and size > 1}
    if kept - {1}:
        raise node.unsupported(f"of shape {shape} ncnn can normalize maps, or all of them together", "axes")
    blob = _maps(node, build, (shape[1], 1, math.prod(shape[2:])))
    params = {"normalize_variance": 1, "across_channels": int(not kept), "eps": _MVN_EPSILON}
    build.add("MVN", node, [blob], shapes=[build.graph.shapes[blob]], **params)


def convert_lrn(node: Node, build: Builder) -> None:
    """LRN of an odd size → LRN across channels."""
    size = int(node.attribute("size"))
    if size % 2 == 0:
        raise node.unsupported("ncnn's window begins one channel earlier where its size is even", "size")
    shape = build.shape(node.inputs[0])
    if len(shape) < 3 or shape[0] != 1:
        raise node.unsupported(f"shape {shape} should have a batch of 1, channels and spatial axes")
    blob = _maps(node, build, (shape[1], 1, math.prod(shape[2:])))
    defaults = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}  # of the ONNX operator specification
    factors = {name: float(node.attribute(name, default)) for name, default in defaults.items()}
    build.add("LRN", node, [blob], shapes=[build.graph.shapes[blob]], local_size=size, **factors)


def convert_lp_normalization(node: Node, build: Builder) -> None:
    """LpNormalization of order 2 over the one axis of a vector, or over channels → Reduction and a division."""
    order = int(node.attribute("p", 2))
    if order not in (1, 2):
        raise node.unsupported("only the orders 1 and 2 exist", "p")
    axis = build.positive_axis(node, node.inputs[0], int(node.attribute("axis", -1)))
    blob, place, shape = build.blob_around(node, node.inputs[0], axis)
    reduced = (*shape[:place], 1, *shape[place + 1 :])
    operation = {1: 7, 2: 8}[order]  # ncnn's Reduction: L1, L2
    norm = build.add_hidden(
        "Reduction",
        node,
        [blob],
        reduced,
        operation=operation,
        reduce_all=0,
        axes=(place,),
        keepdims=1,
        fixbug0=1,
    )
    # Where all values are 0, so is the result: 0 / smallest.
    positive = build.add_hidden(
        "BinaryOp", node, [norm], reduced, op_type=binary_op.MAX, with_scalar=1, b=_SMALLEST
    )
    build.add("BinaryOp", node, [blob, positive], shapes=[shape], op_type=binary_op.DIV)


def _last_axes(node: Node, build: Builder, kind: str) -> Layer:
    """Add a normalization of all axes from `axis` on; ncnn normalizes each row of (rows, values)."""
    node.attribute("stash_type")  # the precision of the sums, which are float32 here
    tensor = node.inputs[0]
    shape = build.shape(tensor)
    axis = build.positive_axis(node, tensor, int(node.attribute("axis", -1)))
    size = math.prod(shape[axis:])
    held = build.ncnn_shape(node, tensor)
    # The last axis alone is normalized in any shape, several axes as the rows of a matrix.
    target = held if held[-1] == size else (math.prod(shape[:axis]), size)
    eps = float(node.attribute("epsilon", 1e-5))
    blob = build.blob(node, tensor, target)
    return build.add(kind, node, [blob], shapes=[target], affine_size=size, eps=eps)


def _affine(node: Node, build: Builder, index: int) -> Array:
    """Return a constant that is one value, or has one for each that is normalized."""
    value = build.constant(node.inputs[index])
    if value is None:
        raise node.unsupported("its scale and bias should be constants")
    shape = build.shape(node.inputs[0])
    axis = build.positive_axis(node, node.inputs[0], int(node.attribute("axis", -1)))
    try:
        return np.broadcast_to(value, shape[axis:])
    except ValueError:
        raise node.unsupported(f"scale or bias of shape {value.shape} does not fit {shape[axis:]}") from None


def _only_result(node: Node) -> list[str]:
    if any(node.outputs[1:]):
        raise node.unsupported("its mean and deviation can't be converted")
    return node.outputs[:1]


def _channels(node: Node, build: Builder) -> int:
    shape = build.shape(node.inputs[0])
    return shape[1] if len(shape) > 1 else 1


def _constant(node: Node, build: Builder, index: int, count: int) -> Array:
    value = build.constant(node.inputs[index])
    if value is None:
        raise node.unsupported("its scale, bias and statistics should be constants")
    if value.size != count:
        raise node.unsupported(f"input {index} has {value.size} values for {count} channels")
    return value


def _channels_first(node: Node, build: Builder) -> tuple[str, Shape]:
    """Return a blob whose first axis is the channels, in as many axes as need no layer."""
    shape = build.shape(node.inputs[0])
    if len(shape) < 2 or shape[0] != 1:
        raise node.unsupported(f"shape {shape} should have a batch of 1 and channels")
    view = build.view(node, node.inputs[0])
    blob_shape = build.graph.shapes[view.blob]
    if view.in_order and blob_shape[0] == shape[1]:
        return view.blob, blob_shape
    held = build.ncnn_shape(node, node.inputs[0])
    target = held if held[0] == shape[1] else (shape[1], math.prod(shape[2:]))
    return build.blob(node, node.inputs[0], target), target


def _maps(node: Node, build: Builder, flat: Shape) -> str:
    """Return a blob of (channels, h, w): the tensor's own shape, or one map of one row for each channel."""
    held = build.ncnn_shape(node, node.inputs[0])
    wanted = held if len(held) == 3 and held[0] == flat[0] else flat
    return build.blob(node, node.inputs[0], wanted)
