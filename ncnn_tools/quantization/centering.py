"""Centering: all 255 steps of ncnn's symmetric int8 for activations that are never negative.

Behind a ReLU a blob uses the 127 steps above zero alone. What reads it can as well read c - x, with c half of where x
is clipped, which uses the steps below zero too, so that each is half as wide: the layer that gives the blob computes
c - max(y, 0) = clip(c - y, -∞, c), by its weights and its fused activation, and a layer that reads it takes
W·x + b = -W·(c - x) + (b + c·ΣW), by its weights, and pads with c. That is exact, and no layer more. It does what a
zero point does in asymmetric quantization, which ncnn lacks (B. Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 2.1). It is c - x and not x - c because
ncnn pads int8 with negative values wrongly on x86 (padding_x86.cpp of 1.0.20261020 puts a byte with its sign bits
beside others).

Inputs whose mean is not zero make the rounding of weights shift outputs, so bias correction has to follow.

Blobs that are slices or joins of each other are shifted by the same c. A class of such blobs is left as it is where
something gives or reads it that can't be shifted, or that ncnn may run as int8 winograd, whose accumulator would have
to hold twice as much.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.affine import Affine
from ncnn_tools.passes.linear import can_fold_before, fold_after, fold_before
from ncnn_tools.quantization.layers import INT8_TAKERS, quantizable_layers
from ncnn_tools.quantization.scales import LEVELS
from ncnn_tools.quantization.winograd import runs_winograd
from ncnn_tools.schema import Activation

_LARGEST = float(np.finfo(np.float32).max)
CENTERED_LEVELS = 2 * LEVELS
"""The steps between zero and where a centered blob is clipped."""

_AVERAGE = 1  # pooling_type

# Layers that only move values, so that what they give is shifted as what they read is; averaging does so too, where the
# zeros that it pads with don't count.
_MOVES = {"Split", "Concat", "Slice", "Crop", "ShuffleChannel", "Dropout", "Noop", "Flatten", "Reshape"}


def centering_offsets(graph: Graph, thresholds: Mapping[str, float]) -> dict[str, float]:
    """Return, for each blob that is worth to be centered, what to take it from.

    `graph` is a float one with shapes; `thresholds` are those of `quantize`, for CENTERED_LEVELS. Where one c serves
    several blobs, it is half of their largest threshold, and it is left out where it would make the steps of one of
    them wider.
    """
    takers = {layer.name for layer in quantizable_layers(graph)}
    offsets: dict[str, float] = {}
    for blobs in _classes(graph):
        clipped = [
            thresholds.get(layer.inputs[0], 0.0)
            for layer in graph.layers
            if layer.name in takers and layer.inputs[0] in blobs
        ]
        offset = max(clipped, default=0.0) / 2
        if 0 < offset < min(clipped, default=0.0) and _can_shift(graph, blobs, takers, offset):
            offsets |= dict.fromkeys(blobs, offset)
    return offsets


def center(graph: Graph, offsets: Mapping[str, float]) -> Graph:
    """Return the graph with offset - x in the place of what x these blobs were, and all else as it was.

    `offsets` are those of `centering_offsets`. Shifted blobs have no origin any more: they equal no ONNX tensor.
    """
    result = graph.copy()
    for layer in result.layers:
        if layer.type in INT8_TAKERS and layer.inputs[0] in offsets:
            fold_before(result, layer, _rest(offsets[layer.inputs[0]]))
    for layer in result.layers:
        if _is_giver(layer) and layer.outputs[0] in offsets:
            _give_rest(layer, offsets[layer.outputs[0]])
    result.origins = {blob: origin for blob, origin in result.origins.items() if blob not in offsets}
    return result


def centered_thresholds(thresholds: Mapping[str, float], offsets: Mapping[str, float]) -> dict[str, float]:
    """Return the thresholds for what `center` makes of a graph."""
    return {blob: offsets.get(blob, threshold) for blob, threshold in thresholds.items()}


def _classes(graph: Graph) -> list[set[str]]:
    """Return the sets of blobs that moves tie together."""
    of_blob: dict[str, set[str]] = {blob: {blob} for blob in graph.blobs()}
    for layer in graph.layers:
        if _moves(layer):
            joined = set().union(*(of_blob[blob] for blob in [*layer.inputs, *layer.outputs]))
            of_blob |= dict.fromkeys(joined, joined)
    return list({id(blobs): blobs for blobs in of_blob.values()}.values())


def _moves(layer: Layer) -> bool:
    if layer.type == "Pooling":
        counts_padding = layer.get("avgpool_count_include_pad") and not layer.get("global_pooling")
        return bool(layer.get("pooling_type") == _AVERAGE and not counts_padding)
    return layer.type in _MOVES


def _can_shift(graph: Graph, blobs: set[str], takers: set[str], offset: float) -> bool:
    """Return whether all that gives or reads a class of blobs can do so with an offset."""
    if blobs & {*graph.inputs, *graph.outputs}:
        return False
    givers = [layer for layer in graph.layers if blobs & set(layer.outputs) and not _moves(layer)]
    readers = [layer for layer in graph.layers if blobs & set(layer.inputs) and not _moves(layer)]
    return all(map(_is_giver, givers)) and all(
        layer.name in takers and not runs_winograd(layer) and can_fold_before(graph, layer, _rest(offset))
        for layer in readers
    )


def _is_giver(layer: Layer) -> bool:
    """Return whether a layer gives what is never negative by a fused ReLU, or a fused clip from 0."""
    if layer.type not in INT8_TAKERS or "weight" not in layer.weights:
        return False
    kind = layer.get("activation_type")
    return bool(
        kind == Activation.RELU or (kind == Activation.CLIP and layer.get("activation_params")[0] == 0)
    )


def _give_rest(layer: Layer, offset: float) -> None:
    """Let a layer give an offset less its outputs."""
    clipped = layer.get("activation_type") == Activation.CLIP
    lowest = offset - layer.get("activation_params")[1] if clipped else -_LARGEST
    outputs = layer.integer("num_output")
    fold_after(layer, Affine(None, np.full(outputs, -1.0), np.full(outputs, offset)))
    layer.set("activation_type", int(Activation.CLIP))
    layer.set("activation_params", (lowest, offset))


def _rest(offset: float) -> Affine:
    return Affine(None, np.full(1, -1.0), np.full(1, offset))
