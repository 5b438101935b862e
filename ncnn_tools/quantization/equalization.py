"""Cross-layer equalization: channels of an activation brought to similar ranges, exactly, before quantizing.

An activation has one scale for all its channels, so channels of small range lose precision beside one of large
range. A factor on a channel, undone by the weights that read it, changes nothing in float where all between is
positively homogeneous. M. Nagel et al., "Data-free quantization through weight equalization and bias correction",
ICCV 2019, choose it so that the ranges of both sides become equal. Here the one side is the range of the activation
itself, as in G. Xiao et al., "SmoothQuant", ICML 2023 (with its migration strength of 1/2): weights have a scale an
output channel, so what they gain from their own rows is nothing.

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

Array = npt.NDArray[np.float32]
Ranges = Mapping[str, tuple[Array, Array]]

_LARGEST_EXPONENT = 6  # channels that are all but dead are not blown up: their range was seen on few samples


def equalize(graph: Graph, ranges: Ranges) -> Graph:
    """Return a graph that computes the same, with activations that quantize better.

    `ranges` gives the lowest and the highest value of each channel of the blobs that are to be quantized (see
    `collect_ranges`); blobs that are not in it don't count. Blobs whose shape the graph doesn't know stay as they
    are. The result's activations differ from the graph's by factors, so thresholds have to be found anew.
    """
    result = graph.copy()
    classes = ScaleClasses(result)
    factors = np.exp2(_exponents(result, classes, ranges)).astype(np.float32)
    for layer in result.layers:
        _absorb(layer, classes, factors)
    return result


def _exponents(graph: Graph, classes: ScaleClasses, ranges: Ranges) -> npt.NDArray[np.float64]:
    """Return the binary logarithm of each class's factor; 0 for the fixed one and those that nothing speaks for."""
    wanted, weight = np.zeros(classes.size), np.zeros(classes.size)
    for layer in quantizable_layers(graph):
        blob = layer.inputs[0]
        if blob not in ranges or blob not in classes or not absorbs_input(layer):
            continue
        seen = np.maximum(np.abs(ranges[blob][0]), np.abs(ranges[blob][1])).astype(np.float64)
        columns = _column_maxima(layer, len(seen))
        alive = (seen > 0) & (columns > 0)
        logs = np.zeros(len(seen))
        logs[alive] = 0.5 * np.log2(columns[alive] / seen[alive])
        # What matters is the range beside the other channels': the blob's largest stays where it is, unless a
        # channel of it is fixed, whose factor of 1 the others then have to fit.
        logs -= _reference(logs, seen, alive, classes.of(blob) == 0)
        np.add.at(wanted, classes.of(blob)[alive], logs[alive])
        np.add.at(weight, classes.of(blob)[alive], 1.0)
    wanted = np.divide(wanted, weight, out=wanted, where=weight > 0)
    wanted[0] = 0.0
    return np.clip(np.round(wanted), -_LARGEST_EXPONENT, _LARGEST_EXPONENT)


def _reference(
    logs: npt.NDArray[np.float64],
    seen: npt.NDArray[np.float64],
    alive: npt.NDArray[np.bool_],
    fixed: npt.NDArray[np.bool_],
) -> float:
    held = alive & fixed
    if held.any():
        return float(logs[held].mean())
    return float(logs[int(np.argmax(seen))]) if alive.any() else 0.0


def _column_maxima(layer: Layer, channels: int) -> npt.NDArray[np.float64]:
    """Return the largest |weight| that reads each input channel, relative to its row's largest.

    A row has its own scale, so only the size beside the others of its row counts.
    """
    weight = np.abs(layer.weights["weight"].values().astype(np.float64))
    if layer.type == "ConvolutionDepthWise":
        return np.ones(channels)
    rows = weight.reshape(layer.integer("num_output"), channels, -1).max(axis=2)
    largest = rows.max(axis=1, keepdims=True)
    relative: npt.NDArray[np.float64] = (rows / np.where(largest > 0, largest, 1)).max(axis=0)
    return relative


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
