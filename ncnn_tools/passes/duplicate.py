"""Merge layers that compute the same.

Layers of the same type that read the same blobs with the same parameters and weights give the same values; the
later one's readers can read the earlier one's output. Merging one makes others equal further down, which the
walk in order of computation finds by itself.
"""

from __future__ import annotations

import hashlib

from ncnn_tools.graph import Graph, Layer, Weight


def merge_duplicates(graph: Graph) -> int:
    """Merge equal layers, except those that give an output of the model; return how many went."""
    first: dict[tuple[object, ...], Layer] = {}
    gone: list[Layer] = []
    for layer in graph.layers:
        if layer.type == "Input":
            continue
        twin = first.setdefault(_identity(layer), layer)
        if twin is layer or any(blob in graph.outputs for blob in layer.outputs):
            continue
        for old, new in zip(layer.outputs, twin.outputs, strict=True):
            graph.redirect(old, new)
        gone.append(layer)
    graph.remove(gone)
    return len(gone)


def _identity(layer: Layer) -> tuple[object, ...]:
    weights = tuple((name, weight.storage, _digest(weight)) for name, weight in layer.weights.items())
    # repr tells 1 from 1.0 and 0.0 from -0.0, which are other bits to ncnn.
    return layer.type, tuple(layer.inputs), len(layer.outputs), repr(sorted(layer.params.items())), weights


def _digest(weight: Weight) -> bytes:
    codebook = b"" if weight.codebook is None else weight.codebook.tobytes()
    return hashlib.sha256(codebook + weight.data.tobytes()).digest()
