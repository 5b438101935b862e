"""Layers with constant weights that are linear: what an affine map before or after one makes of its weights.

After: f·(W·x + b) + g = (f·W)·x + (f·b + g), f scaling rows of W. Before: W·(f·x + g) + b = (W·f)·x + (b + W·g), f
scaling columns; a window that reaches into padding reads the padding's value where it should read f·value + g, so
with padding this holds only where the two agree, or where another value for all channels makes them agree.
ReLU and LeakyReLU that are fused into the layer let a positive factor pass: max(f·x, 0) = f·max(x, 0).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.affine import Affine, Float64
from ncnn_tools.schema import Activation

CONVOLUTIONS = frozenset({"Convolution", "ConvolutionDepthWise"})
DECONVOLUTIONS = frozenset({"Deconvolution", "DeconvolutionDepthWise"})
LINEAR = CONVOLUTIONS | DECONVOLUTIONS | {"InnerProduct", "Gemm"}

_PADS = ("pad_left", "pad_right", "pad_top", "pad_bottom")
_ONE_A_COLUMN, _NO_C = 4, -1  # Gemm: constant_broadcast_type_c (src/layer/gemm.cpp)
_PLAIN_GEMM = {
    "alpha": 1.0,
    "beta": 1.0,
    "trans_a": 0,
    "constant_a": 0,
    "constant_b": 1,
    "int8_scale_term": 0,
}
_HOMOGENEOUS = (Activation.RELU, Activation.LEAKY_RELU)


def is_linear(layer: Layer) -> bool:
    """Return whether a layer is linear but for its activation, with float weights of its own."""
    if layer.type == "Gemm":
        return _is_product_with_constant(layer)
    return layer.type in LINEAR and "weight" in layer.weights and "input_scale" not in layer.weights


def _is_product_with_constant(gemm: Layer) -> bool:
    """Return whether a Gemm multiplies each row of its only input with constant weights, and adds a constant bias."""
    plain = all(gemm.get(name) == value for name, value in _PLAIN_GEMM.items())
    known = {gemm.schema.params[name].id for name in gemm.schema.params} >= set(gemm.params)
    has_c = gemm.get("constant_c") and gemm.get("constant_broadcast_type_c") in (_ONE_A_COLUMN, _NO_C)
    return plain and known and len(gemm.inputs) == 1 and bool(has_c or not gemm.get("constant_c"))


def output_count(layer: Layer) -> int:
    """Return how many outputs (channels, columns) a linear layer has."""
    return layer.integer("constant_n" if layer.type == "Gemm" else "num_output")


def rows(layer: Layer) -> Float64:
    """Return the weights of each output, (outputs, weights an output), float64."""
    return _stored_rows(layer).astype(np.float64)


def _stored_rows(layer: Layer) -> npt.NDArray[np.float32]:
    count = output_count(layer)
    if layer.type != "Gemm":
        return layer.weights["weight"].values().reshape(count, -1)
    values = layer.weights["b"].values()
    return values.reshape(count, -1) if layer.get("trans_b") else values.reshape(-1, count).T


def is_padded(layer: Layer) -> bool:
    """Return whether a convolution pads its input (or says SAME, which may pad it)."""
    return any(layer.get(name) for name in _PADS)


def weight_matrix(layer: Layer) -> Float64:
    """Return a convolution's weights as (group, outputs a group, inputs a group, taps), float64."""
    group = layer.get("group") if layer.type.endswith("DepthWise") else 1
    taps = layer.get("kernel_w") * layer.get("kernel_h")
    weight = layer.weights["weight"].values().astype(np.float64)
    return weight.reshape(group, layer.get("num_output") // group, -1, taps)


def bias_vector(layer: Layer) -> Float64:
    """Return a linear layer's bias, float64; zeros where it has none."""
    bias = layer.weights.get("c" if layer.type == "Gemm" else "bias")
    return np.zeros(output_count(layer)) if bias is None else bias.values().astype(np.float64)


def set_weights(layer: Layer, weight: npt.NDArray[np.floating], bias: Float64) -> None:
    """Give a linear layer new weights, (outputs, …), and a bias where there is one."""
    if layer.type == "Gemm":
        _set_product(layer, weight, bias)
        return
    has_bias = bool(bias.any()) or "bias" in layer.weights
    layer.set("bias_term", int(has_bias))
    layer.set("weight_data_size", int(weight.size))
    layer.set_weight("weight", weight)
    if has_bias:
        layer.set_weight("bias", bias)
    layer.weights = {spec.name: layer.weights[spec.name] for spec in layer.weight_specs()}


def _set_product(gemm: Layer, weight: npt.NDArray[np.floating], bias: Float64) -> None:
    gemm.set("trans_b", 1)
    gemm.set_weight("b", weight)
    if bias.any() or "c" in gemm.weights:
        gemm.set("constant_c", 1)
        gemm.set("constant_broadcast_type_c", _ONE_A_COLUMN)
        gemm.set_weight("c", bias)


def can_scale_outputs(layer: Layer, affine: Affine) -> bool:
    """Return whether what a linear layer gives may be mapped before its activation instead of after."""
    activation = None if layer.type == "Gemm" else layer.get("activation_type")
    return not activation or (activation in _HOMOGENEOUS and affine.is_positive_scale)


def output_axis(graph: Graph, layer: Layer) -> int | None:
    """Return the axis of a linear layer's outputs along which its weights' rows lie."""
    rank = len(graph.shapes.get(layer.outputs[0], ()))
    if layer.type in ("InnerProduct", "Gemm"):
        return rank - 1 if rank in (1, 2) else None
    return 0 if rank == 3 else None


def fold_after(layer: Layer, affine: Affine) -> None:
    """Let a linear layer compute affine(what it gives now); `affine` is along its outputs."""
    weight = _stored_rows(layer).copy()
    scaled = affine.factor != 1  # often few rows, or none: large weights take time
    weight[scaled] = weight[scaled].astype(np.float64) * affine.factor[scaled, None]
    set_weights(layer, weight, affine.factor * bias_vector(layer) + affine.offset)


def can_fold_before(graph: Graph, layer: Layer, affine: Affine) -> bool:
    """Return whether a linear layer can take an affine map of its input into its weights."""
    shape = graph.shapes.get(layer.inputs[0])
    if not is_linear(layer) or len(layer.inputs) != 1 or shape is None:
        return False
    if layer.type in ("InnerProduct", "Gemm"):
        row_by_row = len(shape) == 2 and rows(layer).shape[1] == shape[1]
        return not row_by_row or affine.axis in (None, 1)
    if len(shape) != 3 or affine.axis not in (None, 0):
        return False
    if layer.type in DECONVOLUTIONS:
        return affine.is_scale
    if affine.is_scale and not layer.get("pad_value"):
        return True
    return not is_padded(layer) or _value_of_padding(layer, affine) is not None


def fold_before(graph: Graph, layer: Layer, affine: Affine) -> None:
    """Let a linear layer compute of x what it computes of affine(x) now (see `can_fold_before`)."""
    shape = graph.shapes[layer.inputs[0]]
    if layer.type in ("InnerProduct", "Gemm"):
        _fold_before_product(layer, affine, shape)
        return
    factor, offset = (_spread(values, affine.axis, shape[:1]) for values in (affine.factor, affine.offset))
    weight = weight_matrix(layer)
    group, _, inputs, _ = weight.shape
    shift = weight.sum(axis=3) @ offset.reshape(group, inputs, 1)
    if layer.type in CONVOLUTIONS and is_padded(layer):
        value = _value_of_padding(layer, affine)
        layer.set("pad_value", value or 0.0)
    set_weights(layer, weight * factor.reshape(group, 1, inputs, 1), bias_vector(layer) + shift.reshape(-1))


def _fold_before_product(layer: Layer, affine: Affine, shape: tuple[int, ...]) -> None:
    weight = rows(layer)
    factor, offset = (_spread(values, affine.axis, shape) for values in (affine.factor, affine.offset))
    if factor.size != weight.shape[1]:  # a matrix, row by row
        factor, offset = (values[: weight.shape[1]] for values in (factor, offset))
    set_weights(layer, weight * factor, bias_vector(layer) + weight @ offset)


def _spread(values: Float64, axis: int | None, shape: tuple[int, ...]) -> Float64:
    """Return the value for each place of a blob, in the order in which InnerProduct reads them."""
    sizes = [1] * len(shape)
    if axis is not None:
        sizes[axis] = values.size
    return np.ascontiguousarray(np.broadcast_to(values.reshape(sizes), shape)).reshape(-1)


def _value_of_padding(layer: Layer, affine: Affine) -> float | None:
    """Return the value p for which f·p + g is what a convolution pads with now, in every channel; or None."""
    if (affine.factor == 0).any():
        return None
    values = (layer.get("pad_value") - affine.offset) / affine.factor
    rounded = np.unique(values.astype(np.float32))
    return float(rounded[0]) if rounded.size == 1 else None
