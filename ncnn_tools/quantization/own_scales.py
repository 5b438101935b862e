"""int8 with the scales that a model came with (a QDQ model, see `onnx2ncnn.qdq`), rather than with calibrated ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ncnn_tools.graph import Graph, Layer, OwnScales
from ncnn_tools.quantization import winograd
from ncnn_tools.quantization.apply import keep_out_of_overflow, store
from ncnn_tools.quantization.chains import chain, check_chains
from ncnn_tools.quantization.layers import quantizable_layers, weight_rows
from ncnn_tools.quantization.scales import (
    LEVELS,
    Float32,
    Int8,
    absmax_thresholds,
    round_half_away,
    to_scales,
)

# Of a step: how far weights may be from whole steps, and rows from multiples of those that they were. Float32 rounds
# by 1e-7 of a weight of 127 steps each time that it is multiplied.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class OwnInt8:
    """A graph in int8 with its own scales, and what of the model's quantization it does not keep.

    `layers` are int8. `coarser` of them have an input whose steps are wider than the model's, `rescaled` weights
    that do not fit into -127..127 steps. `left` are in float, by name with the reason.
    """

    graph: Graph
    layers: tuple[str, ...]
    coarser: tuple[str, ...]
    rescaled: tuple[str, ...]
    left: Mapping[str, str]


def quantize_as_given(graph: Graph) -> OwnInt8:
    """Return a copy in int8 wherever a layer has scales of its own, with chains between such layers.

    `graph` has been optimized, which may have multiplied the weights of an output by a factor: its scale follows.
    """
    result = graph.copy()
    positive = winograd.positive_blobs(graph)
    can = {layer.name for layer in quantizable_layers(result)}
    layers, coarser, rescaled, left = [], [], [], {}
    for layer in result.layers:
        own = result.own_scales.get(layer.name)
        if own is None:
            continue
        scales = _followed(layer, own) if layer.name in can else None
        if scales is None:
            left[layer.name] = _reason(layer, layer.name in can)
            continue
        scales, quantized, fits = _levels(weight_rows(layer), scales)
        keep_out_of_overflow(layer, quantized, own.input, positive=layer.inputs[0] in positive)
        store(layer, quantized, scales, np.asarray([own.input], np.float32))
        layers.append(layer.name)
        coarser += [] if own.exact else [layer.name]
        rescaled += [] if fits else [layer.name]
    result.own_scales = {}
    chain(result)
    check_chains(result)
    return OwnInt8(result, tuple(layers), tuple(coarser), tuple(rescaled), left)


def _reason(layer: Layer, possible: bool) -> str:
    if possible:
        return "its weights are no longer those of the model"
    if layer.type == "Gemm":
        return "a product of several rows: not in int8"
    if layer.type == "ConvolutionDepthWise":
        return "a grouped convolution: not in int8"
    return f"{layer.type}: not in int8"


def _followed(layer: Layer, own: OwnScales) -> Float32 | None:
    """Return the scales of a layer's weights as they are now; None where they are no multiples of what they were."""
    rows = weight_rows(layer).astype(np.float64)
    if rows.shape != own.rows.shape:
        return None
    before = own.rows.astype(np.float64)
    places = np.abs(before).argmax(axis=1)[:, None]
    largest = np.take_along_axis(before, places, 1)
    factors = np.where(
        largest == 0, 1, np.take_along_axis(rows, places, 1) / np.where(largest == 0, 1, largest)
    )
    if np.abs(rows - factors * before).max(initial=0) > _TOLERANCE * np.abs(rows).max(initial=0) / LEVELS:
        return None
    sizes = np.abs(factors[:, 0])
    scales: Float32 = (own.weights / np.where(sizes == 0, 1, sizes)).astype(np.float32)
    return scales


def _levels(rows: Float32, scales: Float32) -> tuple[Float32, Int8, bool]:
    """Return scales, int8 weights, and whether the model's own steps do; a level of -128 becomes -127."""
    levels = np.rint(rows.astype(np.float64) * scales[:, None])
    over = (levels > LEVELS).any(axis=1) | (levels < -LEVELS - 1).any(axis=1)
    scales = np.where(over, to_scales(absmax_thresholds(rows)), scales)
    return scales, round_half_away(rows * scales[:, None]), not over.any()
