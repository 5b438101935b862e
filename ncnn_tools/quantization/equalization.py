"""Cross-layer equalization: channels of an activation brought to similar ranges, exactly, before quantizing.

An activation has one scale for all its channels, so channels of small range lose precision beside one of large
range. A factor on a channel, undone by the weights that read it, changes nothing in float where all between is
positively homogeneous: M. Nagel et al., "Data-free quantization through weight equalization and bias correction",
ICCV 2019. How much of the range goes over to the weights is searched for each layer, from nothing (the factors are
1) to all (each channel fills the range), as the migration strength of G. Xiao et al., "SmoothQuant", ICML 2023: what
the activation's grid gains, the grids of the weights' rows lose.

Factors are powers of two: products and sums then keep all their bits, and the equalized graph computes exactly
what the graph did, short of underflow.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.quantization.layers import quantizable_layers
from ncnn_tools.quantization.scale_classes import ScaleClasses, absorbs_input, absorbs_output
from ncnn_tools.quantization.statistics import ChannelRanges

Array = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Ranges = Mapping[str, ChannelRanges]

_LARGEST_EXPONENT = 6  # channels that are all but dead are not blown up: their range was seen on few samples
_STRENGTHS = np.linspace(0, 1, 9)


def equalize(graph: Graph, ranges: Ranges) -> Graph:
    """Return a graph that computes the same, with activations that quantize better.

    `ranges` are those of `collect_ranges`; blobs that are not in it don't count. Channels that several layers to
    be quantized read keep their factor of 1, and so do blobs whose shape the graph doesn't know. The result's
    activations differ from the graph's by factors, so thresholds have to be found anew, and blobs that do equal no
    ONNX tensor any more.
    """
    result = graph.copy()
    classes = ScaleClasses(result)
    factors = np.exp2(_exponents(result, classes, ranges)).astype(np.float32)
    for layer in result.layers:
        _absorb(layer, classes, factors)
    for blob in result.blobs():
        if _factors_of(blob, classes, factors) is not None:
            result.origins.pop(blob, None)
    return result


def _exponents(graph: Graph, classes: ScaleClasses, ranges: Ranges) -> Float64:
    """Return the binary logarithm of each class's factor; 0 for the fixed one and those of several readers."""
    exponents = np.zeros(classes.size)
    readers = [
        layer
        for layer in quantizable_layers(graph)
        if layer.inputs[0] in ranges and layer.inputs[0] in classes and absorbs_input(layer)
    ]
    count = np.zeros(classes.size, np.int64)
    for layer in readers:
        np.add.at(count, np.unique(classes.of(layer.inputs[0])), 1)
    count[0] = 2
    for layer in readers:
        channels = classes.of(layer.inputs[0])
        free = count[channels] == 1
        if free.any() and len(np.unique(channels[free])) == free.sum():
            exponents[channels[free]] = _best_exponents(layer, ranges[layer.inputs[0]], free)[free]
    return exponents


def _best_exponents(layer: Layer, seen: ChannelRanges, free: npt.NDArray[np.bool_]) -> Float64:
    """Return the exponents, of those that the strengths give, with which the layer's output has the least noise."""
    largest = seen.largest.astype(np.float64)
    weight = _squares(layer, len(largest))
    alive = free & (largest > 0) & (weight.sum(axis=(0, 2)) > 0)
    best, least = np.zeros(len(largest)), _noise(weight, largest, seen.power, np.zeros(len(largest)))
    for strength in _STRENGTHS[1:]:
        exponents = np.zeros(len(largest))
        exponents[alive] = strength * np.log2(largest.max() / largest[alive])
        exponents = np.clip(np.round(exponents), 0, _LARGEST_EXPONENT)
        noise = _noise(weight, largest, seen.power, exponents)
        if noise < least:
            best, least = exponents, noise
    return best


def _squares(layer: Layer, channels: int) -> Float64:
    """Return a layer's squared weights as (rows, input channels, taps); a depthwise one's stand on the diagonal."""
    weight = np.square(layer.weights["weight"].values().astype(np.float64))
    if layer.type != "ConvolutionDepthWise":
        return weight.reshape(layer.integer("num_output"), channels, -1)
    result: Float64 = np.eye(channels)[:, :, None] * weight.reshape(channels, 1, -1)
    return result


def _noise(weight: Float64, largest: Float64, power: Float64, exponents: Float64) -> float:
    """Return the power of the output's rounding noise, up to a factor, each row's relative to its signal.

    A grid of step d adds noise of power d²/12 to each value on it (B. Widrow, 1956). `power` is each channel's mean
    square.
    """
    factors = np.exp2(2 * exponents)  # squared
    activation_step = (largest * largest * factors).max()
    scaled = weight / factors[:, None]
    weight_step = scaled.max(axis=(1, 2))
    from_activation = activation_step * scaled.sum(axis=(1, 2))
    taps = (weight > 0).sum(axis=2)
    from_weights = weight_step * (taps * (power * factors)).sum(axis=1)
    signal = (weight.sum(axis=2) * power).sum(axis=1)
    return float(
        np.divide(from_activation + from_weights, signal, out=np.zeros_like(signal), where=signal > 0).sum()
    )


def _absorb(layer: Layer, classes: ScaleClasses, factors: Array) -> None:
    if layer.type == "PReLU" or not layer.inputs:
        return
    into = _factors_of(layer.inputs[0], classes, factors) if absorbs_input(layer) else None
    out = _factors_of(layer.outputs[0], classes, factors) if absorbs_output(layer) else None
    if layer.type == "BatchNorm":
        _scale_batch_norm(layer, into, out)
    elif into is not None or out is not None:
        _scale_linear(layer, into, out)


def _factors_of(blob: str, classes: ScaleClasses, factors: Array) -> Array | None:
    if blob not in classes:
        return None
    found: Array = factors[classes.of(blob)]
    return found if (found != 1).any() else None


def _scale_batch_norm(layer: Layer, into: Array | None, out: Array | None) -> None:
    """y = slope · (x - mean) / deviation + bias, for x times `into` and y times `out`."""
    values = {name: layer.weights[name].values() for name in ("slope", "mean", "bias")}
    if into is not None:
        values["mean"] = values["mean"] * into
        values["slope"] = values["slope"] / into
    if out is not None:
        values["slope"] = values["slope"] * out
        values["bias"] = values["bias"] * out
    for name, value in values.items():
        layer.set_weight(name, value)


def _scale_linear(layer: Layer, into: Array | None, out: Array | None) -> None:
    outputs = layer.integer("num_output")
    weight = layer.weights["weight"].values()
    if into is not None:
        columns = into if layer.type != "ConvolutionDepthWise" else into[:, None]
        shape = (outputs, len(into), -1) if layer.type != "ConvolutionDepthWise" else (outputs, 1, -1)
        weight = weight.reshape(shape) / columns[:, None]
    if out is not None:
        weight = weight.reshape(outputs, -1) * out[:, None]
        if "bias" in layer.weights:
            layer.set_weight("bias", layer.weights["bias"].values() * out)
    layer.set_weight("weight", weight)
