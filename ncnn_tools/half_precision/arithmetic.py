"""What convolutions and InnerProduct compute where ncnn accumulates in fp16 (`forward_fp16sa` in src/layer/arm).

Convolution, ConvolutionDepthWise and InnerProduct are emulated step by step. Of the other layers with fp16 arithmetic
those that add up many values do it in float32 (global pooling, LayerNorm, GroupNorm, InstanceNorm) or are not emulated
inside (Gemm, MatMul, attention, Softmax, recurrent layers, deconvolutions): there inputs, weights and outputs alone
are rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Layer
from ncnn_tools.half_precision.accumulate import accumulate
from ncnn_tools.half_precision.rounding import LARGEST, Array, to_half
from ncnn_tools.half_precision.winograd import tile_of, winograd_sums
from ncnn_tools.quantization.layers import is_depthwise
from ncnn_tools.quantization.windows import padded_input, window_view
from ncnn_tools.schema import Activation

_ROWS = 1 << 14  # places of a convolution whose inputs are gathered at once
_SUMS = 8  # that InnerProduct keeps of a vector's products


def accumulates(layer: Layer, values: Array) -> bool:
    """Return whether `half_output` knows how a layer adds up this input in fp16."""
    if "weight" not in layer.weights:
        return False
    if layer.type == "InnerProduct":
        return True
    if values.ndim != 3 or layer.type not in ("Convolution", "ConvolutionDepthWise"):
        return False
    return bool(layer.get("pad_value") == 0)


def half_output(layer: Layer, values: Array, largest: float = LARGEST) -> Array:
    """Return the output of a layer that `accumulates` in fp16 arithmetic, float32 in ncnn's shape.

    `values` is its input in fp16 numbers; its weights are rounded here. A sum beyond `largest` becomes infinite.
    """
    with np.errstate(all="ignore"):  # infinities are results here
        sums = _sums(layer, values, largest)
        return to_half(_activate(sums, layer.get("activation_type"), layer.get("activation_params")))


def _sums(layer: Layer, values: Array, largest: float) -> Array:
    bias = to_half(layer.weights["bias"].values()) if "bias" in layer.weights else None
    if layer.type == "InnerProduct":
        return _product(layer, values, bias, largest)
    if layer.type == "ConvolutionDepthWise" and not is_depthwise(layer):
        channels = np.split(values, layer.integer("group"))
        parts = zip(_by_group(layer), channels, strict=True)
        return np.concatenate([_sums(part, taken, largest) for part, taken in parts])
    tile = tile_of(layer, len(values))
    if tile is None:
        return _convolution(layer, values, bias, largest)
    weights = layer.weights["weight"].values().reshape(layer.integer("num_output"), -1, 3, 3)
    return winograd_sums(weights, bias, padded_input(layer, values), tile, largest)


def _by_group(layer: Layer) -> Iterator[Layer]:
    """Yield the convolutions that ncnn makes of a group convolution (`create_group_ops`), one a group."""
    groups = layer.integer("group")
    weights = {name: np.split(weight.values(), groups) for name, weight in layer.weights.items()}
    for group in range(groups):
        part = Layer("Convolution", layer.name, layer.inputs, layer.outputs, dict(layer.params))
        for size in ("num_output", "weight_data_size"):
            part.set(size, layer.integer(size) // groups)
        for name, values in weights.items():
            part.set_weight(name, values[group])
        yield part


def _weights(layer: Layer, groups: int) -> Array:
    outputs = layer.integer("num_output")
    weights: Array = to_half(layer.weights["weight"].values()).reshape(groups, outputs // groups, -1)
    return weights


def _product(layer: Layer, values: Array, bias: Array | None, largest: float) -> Array:
    """Multiply each row of a matrix by the weights; one vector, whatever its shape, gives one (innerproduct.cpp)."""
    weights = _weights(layer, 1)
    if values.ndim != 2 or values.shape[1] != weights.shape[2]:
        return _vector_product(weights[0], values.reshape(-1), bias, largest)
    products: Array = accumulate(weights, values.T[None], None if bias is None else bias[None], largest)[0].T
    return products


def _vector_product(weights: Array, vector: Array, bias: Array | None, largest: float) -> Array:
    """Add up every eighth product by itself, then these sums in pairs (innerproduct_arm_asimdhp.cpp)."""
    outputs, depth = weights.shape
    spare = -depth % _SUMS
    by_sum = np.pad(weights, ((0, 0), (0, spare))).reshape(outputs, -1, _SUMS).transpose(2, 0, 1)
    rows = np.pad(vector, (0, spare)).reshape(-1, _SUMS).T[:, :, None]
    first = np.zeros((_SUMS, outputs), np.float32)
    if bias is not None:
        first[0] = bias
    sums = accumulate(by_sum, rows, first, largest)[:, :, 0]
    while len(sums) > 1:
        sums = to_half(sums[::2] + sums[1::2])
    total: Array = sums[0]
    return total


def _convolution(layer: Layer, values: Array, bias: Array | None, largest: float) -> Array:
    groups = len(values) if layer.type == "ConvolutionDepthWise" else 1
    weights = _weights(layer, groups)
    view = window_view(layer, values)
    height, width = view.shape[1:3]
    sums = np.empty((layer.integer("num_output"), height, width), np.float32)
    step = max(1, _ROWS // width)
    for top in range(0, height, step):
        windows = view[:, top : top + step].transpose(0, 3, 4, 1, 2)
        rows = windows.reshape(groups, weights.shape[2], -1)
        part = accumulate(weights, rows, None if bias is None else bias.reshape(groups, -1), largest)
        sums[:, top : top + step] = part.reshape(len(sums), -1, width)
    return sums


def _activate(sums: Array, kind: int, params: Sequence[float]) -> npt.NDArray[Any]:
    """Apply a fused activation (src/layer/fused_activation.h)."""
    one, zero = np.float32(1), np.float32(0)
    first, second = (np.float32(number) for number in (*params, 0, 0)[:2])
    results: dict[int, Callable[[], npt.NDArray[Any]]] = {
        Activation.NONE: lambda: sums,
        Activation.RELU: lambda: np.maximum(sums, zero),
        Activation.LEAKY_RELU: lambda: np.where(sums > 0, sums, sums * first),
        Activation.CLIP: lambda: np.clip(sums, first, second),
        Activation.SIGMOID: lambda: one / (one + np.exp(-sums)),
        Activation.MISH: lambda: sums * np.tanh(np.logaddexp(sums, zero)),
        Activation.HARD_SWISH: lambda: sums * np.clip(sums * first + second, zero, one),
    }
    return results[kind]()
