"""Remove layers that give what they take.

A Noop copies; a Reshape between equal shapes changes nothing. Their readers can read what they read. An output
of the model keeps its name: the blob before it takes that name, unless it is an output or an input itself.
"""

from __future__ import annotations

from ncnn_tools.graph import Graph, Layer


def remove_identities(graph: Graph) -> int:
    """Remove Noop layers, and Reshape layers that keep the shape; return how many."""
    removed = 0
    for layer in list(graph.layers):
        if _is_identity(graph, layer) and _bypass(graph, layer):
            removed += 1
    return removed


def _is_identity(graph: Graph, layer: Layer) -> bool:
    if layer.type == "Noop":
        return len(layer.inputs) == len(layer.outputs) == 1
    if layer.type != "Reshape" or len(layer.inputs) != 1:
        return False
    before, after = (graph.shapes.get(blob) for blob in (layer.inputs[0], layer.outputs[0]))
    return before is not None and before == after


def _bypass(graph: Graph, layer: Layer) -> bool:
    source, target = layer.inputs[0], layer.outputs[0]
    if target in graph.outputs:
        if source in graph.outputs or source in graph.inputs:
            return False
        graph.remove([layer])
        graph.rename_blob(source, target)
    else:
        graph.remove([layer])
        graph.redirect(target, source)
    return True
