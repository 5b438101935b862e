"""`pad_channels`: a graph whose channels fill vectors, and that computes the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, Storage, Weight
from ncnn_tools.packing.borders import without_idle_borders
from ncnn_tools.packing.classes import PaddingClasses, is_dense
from ncnn_tools.packing.groups import Gaps, find_gaps
from ncnn_tools.quantization.layers import is_depthwise

Places = npt.NDArray[np.int64]  # where each channel goes; behind them, the count of all
_SHAPE_HINT_ID = 30

# Weights of one value a channel; in padded ones they are this. A BatchNorm divides by the root of var + eps.
_CHANNEL_WEIGHTS = {
    "BatchNorm": {"slope": 0.0, "mean": 0.0, "var": 1.0, "bias": 0.0},
    "Scale": {"scale": 0.0, "bias": 0.0},
    "Bias": {"bias": 0.0},
    "PReLU": {"slope": 0.0},
}
_CHANNEL_COUNTS = {
    "BatchNorm": "channels",
    "Scale": "scale_data_size",
    "Bias": "bias_data_size",
    "PReLU": "num_slope",
}


def pad_channels(graph: Graph, widths: Mapping[str, int]) -> Graph:
    """Return a copy in which these groups (see `padding_groups`) have more channels, and all layers compute the same.

    `widths` maps a group's name to its new count of channels. Layers and blobs keep their names; Padding and Crop
    layers come in where a group begins or ends at a blob that can't be padded. A padded blob has no origin any more,
    as no ONNX tensor equals it. Layers in int8 are padded as well. Raises GraphError for a graph without shapes, an
    unknown group and a width below the group's.
    """
    gaps = find_gaps(graph)
    prepared, classes = gaps.graph, gaps.classes
    padding = _padding(gaps, widths)
    places = {blob: _places(classes, blob, padding) for blob in prepared.shapes if blob in classes}
    grown = {blob: place for blob, place in places.items() if place[-1] != len(place) - 1}
    for layer in prepared.layers:
        if not grown.keys().isdisjoint([*layer.inputs, *layer.outputs]):
            _widen(layer, places)
    for blob, place in grown.items():
        prepared.shapes[blob] = (int(place[-1]), *prepared.shapes[blob][1:])
        prepared.origins.pop(blob, None)
    result = without_idle_borders(prepared, graph)
    result.check()
    return result


def _padding(gaps: Gaps, widths: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Return how many zeros stand in the gaps of each class."""
    groups = {group.name: (gap, group) for gap, group in gaps.groups.items()}
    padding = np.zeros(gaps.classes.size, np.int64)
    for name, width in widths.items():
        if name not in groups:
            raise GraphError(f"no channels can be padded by the name {name!r}: {_known(groups)}")
        gap, group = groups[name]
        if width < group.channels:
            raise GraphError(f"channels of {name!r}: {width} is less than the {group.channels} that it has")
        padding[gap] = width - group.channels
    for gap, floor in gaps.floors.items():
        padding[gap] = max(padding[gap], padding[floor])
    return padding


def _known(groups: Mapping[str, object]) -> str:
    return f"it has {', '.join(groups)}" if groups else "it has none, or its blobs' shapes are not known"


def _places(classes: PaddingClasses, blob: str, padding: npt.NDArray[np.int64]) -> Places:
    behind = np.cumsum(padding[classes.of(blob)])
    places: Places = np.arange(len(behind) + 1) + np.concatenate([[0], behind])
    return places


def _widen(layer: Layer, places: Mapping[str, Places]) -> None:
    """Give a layer the weights and parameters for the new places of its blobs' channels."""
    layer.params.pop(_SHAPE_HINT_ID, None)
    before, after = places.get(layer.inputs[0]), places.get(layer.outputs[0])
    if is_dense(layer):
        _widen_dense(layer, before, after)
    elif is_depthwise(layer) and after is not None:
        _widen_depthwise(layer, after)
    elif layer.type in _CHANNEL_WEIGHTS and after is not None:
        _widen_channel_weights(layer, after)
    elif layer.type == "Padding" and before is not None and after is not None:
        layer.set("behind", layer.integer("behind") + int(after[-1] - before[-1]))
    elif layer.type == "Crop" and after is not None:
        layer.set("ends", (int(after[-1]),))


def _widen_dense(layer: Layer, before: Places | None, after: Places | None) -> None:
    """Put rows and columns of zeros in; an InnerProduct's columns stand for places too, channel by channel."""
    outputs = layer.integer("num_output")
    inputs = len(before) - 1 if before is not None else 1
    weight = layer.weights["weight"]
    rows = np.arange(outputs + 1) if after is None else after
    columns = np.arange(inputs + 1) if before is None else before
    shape = (outputs, inputs, weight.data.size // (outputs * inputs))
    layer.weights["weight"] = _spread(
        _spread(weight, shape, 0, rows), (int(rows[-1]), *shape[1:]), 1, columns
    )
    _widen_outputs(layer, rows)


def _widen_depthwise(layer: Layer, places: Places) -> None:
    weight = layer.weights["weight"]
    layer.weights["weight"] = _spread(weight, (len(places) - 1, -1), 0, places)
    layer.set("group", int(places[-1]))
    _widen_outputs(layer, places)


def _widen_outputs(layer: Layer, places: Places) -> None:
    """Widen what a layer has for each output; a row of zeros is quantized with a scale of 1."""
    count = len(places) - 1
    layer.set("num_output", int(places[-1]))
    layer.set("weight_data_size", layer.weights["weight"].data.size)
    for name, fill in (("bias", 0.0), ("weight_scales", 1.0)):
        weight = layer.weights.get(name)
        if weight is not None and weight.data.size == count:
            layer.weights[name] = _spread(weight, (count,), 0, places, fill)


def _widen_channel_weights(layer: Layer, places: Places) -> None:
    """Widen weights of one value a channel; a PReLU or Scale with one for all has none to be widened."""
    count = layer.integer(_CHANNEL_COUNTS[layer.type])
    if count != len(places) - 1:
        return
    for name, fill in _CHANNEL_WEIGHTS[layer.type].items():
        if name in layer.weights:
            layer.weights[name] = _spread(layer.weights[name], (count,), 0, places, fill)
    layer.set(_CHANNEL_COUNTS[layer.type], int(places[-1]))


def _spread(weight: Weight, shape: tuple[int, ...], axis: int, places: Places, fill: float = 0.0) -> Weight:
    """Return a weight of this shape with `fill` between the slices of an axis, which go to their places."""
    if weight.storage is Storage.CODEBOOK:
        weight = Weight(weight.values(), Storage.FP32)
    old = weight.data.reshape(shape)
    size = list(map(int, old.shape))
    size[axis] = int(places[-1])
    data = np.full(size, fill, weight.data.dtype)
    index: list[slice | Places] = [slice(None)] * len(size)
    index[axis] = places[:-1]
    data[tuple(index)] = old
    return Weight(data.reshape(-1), weight.storage, tag=weight.tag)
