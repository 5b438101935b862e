"""Merge layers that only move values and follow each other.

A Reshape keeps the order of the values, so of two in a row the second can read what the first reads. Two Permutes in
a row are one (or none, where the second undoes the first). A Permute of the last axes alone does not care how
the axes before them are seen: Permute and Reshape change places, so that the Permute meets the one before.
"""

from __future__ import annotations

import itertools

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.affine_moves import permutation
from ncnn_tools.passes.wiring import Wiring

_RESHAPES = ("Reshape", "Flatten", "Squeeze", "ExpandDims")
_SIZES = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}


def merge_moves(graph: Graph) -> int:
    """Merge Reshapes and Permutes in a row, and bring Permutes together; return how often."""
    merged = 0
    wiring = Wiring(graph)
    for layer in list(graph.layers):
        before = wiring.producers.get(layer.inputs[0]) if len(layer.inputs) == 1 else None
        if before is None or len(before.inputs) != 1 or not _known(graph, layer, before):
            continue
        if (
            _merge_reshapes(graph, before, layer)
            or _merge_permutes(graph, before, layer)
            or _exchange(graph, wiring, before, layer)
        ):
            wiring = Wiring(graph)
            merged += 1
    return merged


def _known(graph: Graph, *layers: Layer) -> bool:
    return all(blob in graph.shapes for layer in layers for blob in (*layer.inputs, *layer.outputs))


def _merge_reshapes(graph: Graph, before: Layer, layer: Layer) -> bool:
    if layer.type not in _RESHAPES or before.type not in _RESHAPES:
        return False
    layer.inputs = list(before.inputs)
    _become_reshape(graph, layer)
    return True


def _become_reshape(graph: Graph, layer: Layer) -> None:
    """Let a layer reshape to its output's shape, said in full."""
    layer.type, layer.params = "Reshape", {}
    shape = graph.shapes[layer.outputs[0]]
    for name, size in zip(_SIZES[len(shape)], shape, strict=True):
        layer.set(name, size)


def _merge_permutes(graph: Graph, before: Layer, layer: Layer) -> bool:
    if layer.type != "Permute" or before.type != "Permute":
        return False
    rank = len(graph.shapes[layer.outputs[0]])
    first, second = permutation(before, rank), permutation(layer, rank)
    layer.inputs = list(before.inputs)
    layer.set("order_type", _order_type(tuple(first[axis] for axis in second)))
    return True


def _order_type(axes: tuple[int, ...]) -> int:
    return list(itertools.permutations(range(len(axes)))).index(axes)


def _exchange(graph: Graph, wiring: Wiring, before: Layer, layer: Layer) -> bool:
    """Permute → Reshape → Permute of the last two axes: the latter two change places."""
    shapes = [graph.shapes[blob] for blob in (*before.inputs, *before.outputs, *layer.outputs)]
    rank = len(shapes[0])
    if layer.type != "Permute" or before.type != "Reshape" or rank < 2 or len(shapes[1]) < 2:
        return False
    outer = len(shapes[1]) - 2
    swap = (*range(outer), outer + 1, outer)
    turned = wiring.producers[before.inputs[0]]
    meets = turned.type == "Permute" and wiring.only_reader(before.inputs[0]) is before
    if permutation(layer, outer + 2) != swap or shapes[0][-2:] != shapes[1][-2:] or not meets:
        return False
    if wiring.only_reader(before.outputs[0]) is not layer:
        return False
    middle, target = before.outputs[0], layer.outputs[0]
    graph.shapes[middle] = (*shapes[0][:-2], shapes[0][-1], shapes[0][-2])
    graph.origins.pop(middle, None)
    layer.inputs, before.inputs = list(before.inputs), [middle]
    layer.outputs, before.outputs = [middle], [target]
    layer.set("order_type", _order_type((*range(rank - 2), rank - 1, rank - 2)))
    _become_reshape(graph, before)
    one, other = (
        next(i for i, each in enumerate(graph.layers) if each is which) for which in (before, layer)
    )
    graph.layers[one], graph.layers[other] = graph.layers[other], graph.layers[one]
    return True
