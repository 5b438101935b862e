"""Grouped convolutions taken apart: a Slice, a Convolution for each group, and a Concat.

ncnn computes int8 of grouped convolutions that are not depthwise wrongly (`quantization.layers`), but that of each
group by itself rightly. In float it takes them apart inside in much the same way, and copies less; so this is for
what then runs in int8.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, new_layer, unique_name
from ncnn_tools.quantization.layers import is_depthwise, weight_rows
from ncnn_tools.schema import LAYERS

_GROUP = LAYERS["ConvolutionDepthWise"].params["group"].id


def grouped_layers(graph: Graph) -> list[Layer]:
    """Return the float convolutions of several groups that are not depthwise, where channels are the first axis."""
    return [
        layer
        for layer in graph.layers
        if layer.type == "ConvolutionDepthWise"
        and "weight" in layer.weights
        and not layer.get("int8_scale_term")
        and layer.integer("group") > 1
        and not is_depthwise(layer)
    ]


def take_groups_apart(graph: Graph, names: Collection[str]) -> tuple[Graph, dict[str, list[str]]]:
    """Return a copy with the named layers taken apart, and of each of them the names of what took its place.

    That is a Slice, the convolutions, and a Concat, in this order.
    The Concat gives the blob that the layer gave, so that whatever is known of blobs still holds. Raises GraphError for
    a name that is not of `grouped_layers`.
    """
    result = graph.copy()
    grouped = {layer.name for layer in grouped_layers(result)}
    if missing := set(names) - grouped:
        raise GraphError(f"there is no grouped convolution {min(missing)!r} to take apart")
    taken, blobs = {layer.name for layer in result.layers}, set(result.blobs())
    parts: dict[str, list[str]] = {}
    layers: list[Layer] = []
    for layer in result.layers:
        if layer.name in names:
            found = _apart(layer, taken, blobs)
            parts[layer.name] = [part.name for part in found]
            _note_shapes(result, layer, found)
            layers += found
        else:
            layers.append(layer)
    result.layers = layers
    return result, parts


def _apart(layer: Layer, taken: set[str], blobs: set[str]) -> list[Layer]:
    groups = layer.integer("group")
    rows = weight_rows(layer)
    channels = rows.shape[1] // (layer.integer("kernel_w") * layer.integer("kernel_h"))
    read = [unique_name(f"{layer.inputs[0]}_group_{group}", blobs) for group in range(groups)]
    given = [unique_name(f"{layer.outputs[0]}_group_{group}", blobs) for group in range(groups)]
    slices = new_layer(
        "Slice",
        unique_name(f"{layer.name}_slice", taken),
        layer.inputs,
        read,
        slices=(channels,) * groups,
        axis=0,
    )
    # Convolution has the parameters of ConvolutionDepthWise but `group`.
    params = {number: value for number, value in layer.params.items() if number != _GROUP}
    biases = np.split(layer.weights["bias"].values(), groups) if "bias" in layer.weights else None
    convolutions = []
    for group, weight in enumerate(np.split(rows, groups)):
        name = unique_name(f"{layer.name}_group_{group}", taken)
        one = Layer("Convolution", name, [read[group]], [given[group]], dict(params))
        one.set("num_output", len(weight))
        one.set("weight_data_size", weight.size)
        one.set_weight("weight", weight)
        if biases is not None:
            one.set_weight("bias", biases[group])
        convolutions.append(one)
    joined = new_layer("Concat", unique_name(f"{layer.name}_concat", taken), given, layer.outputs, axis=0)
    return [slices, *convolutions, joined]


def _note_shapes(graph: Graph, layer: Layer, parts: list[Layer]) -> None:
    for whole, pieces in ((layer.inputs[0], parts[0].outputs), (layer.outputs[0], parts[-1].inputs)):
        if whole in graph.shapes:
            channels, *rest = graph.shapes[whole]
            graph.shapes |= dict.fromkeys(pieces, (channels // len(pieces), *rest))
