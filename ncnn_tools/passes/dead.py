"""Remove layers whose outputs nobody asks for.

A layer of ncnn has no effect but its outputs, so one whose outputs are neither read nor outputs of the model
can go; and then those that only it read.
"""

from __future__ import annotations

from ncnn_tools.graph import Graph, Layer


def remove_dead_layers(graph: Graph) -> int:
    """Remove layers, other than Input, that do not lead to an output; return how many."""
    needed = set(graph.outputs)
    dead: list[Layer] = []
    for layer in reversed(graph.layers):
        if layer.type == "Input" or needed.intersection(layer.outputs):
            needed.update(layer.inputs)
        else:
            dead.append(layer)
    graph.remove(dead)
    return len(dead)
