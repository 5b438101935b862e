"""Graphs of which some layers are int8 and the others float."""

from __future__ import annotations

from collections.abc import Collection

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer
from ncnn_tools.quantization.chains import gives_int8
from ncnn_tools.quantization.layers import is_int8


def take_layers(float_graph: Graph, int8_graph: Graph, names: Collection[str]) -> Graph:
    """Return a copy of the float graph that has the named layers as they are in the int8 graph, without chains.

    `int8_graph` is the same graph quantized without chains, or freed of them by `unchain`: what each of its layers
    reads and gives is float, so any of them may stand among float layers. `chain` can join the result. Raises
    GraphError for a name that is not an int8 layer of it, and where the two are not one graph.
    """
    quantized = {layer.name: layer for layer in int8_graph.copy().layers if is_int8(layer)}
    if missing := set(names) - set(quantized):
        raise GraphError(f"layer {min(missing)!r} is not int8 in the quantized graph")
    result = float_graph.copy()
    places = {layer.name: place for place, layer in enumerate(result.layers)}
    for name in names:
        layer = quantized[name]
        if name not in places or not _same_place(result.layers[places[name]], layer):
            raise GraphError(f"layer {name!r} is another one in the float graph than in the quantized one")
        if gives_int8(layer):
            raise GraphError(f"layer {name!r} gives int8, which a float layer would take for its own")
        result.layers[places[name]] = layer
    return result


def _same_place(a: Layer, b: Layer) -> bool:
    return (a.type, a.inputs, a.outputs) == (b.type, b.inputs, b.outputs)
