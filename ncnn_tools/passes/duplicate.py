"""Merge layers that compute the same.

Layers of the same type that read the same blobs with the same parameters and weights give the same values; the
later one's readers can read the earlier one's output. Merging one makes others equal further down, which the
walk in order of computation finds by itself.
"""

from __future__ import annotations

from ncnn_tools.graph import Graph, Layer


def merge_duplicates(graph: Graph) -> int:
    """Merge equal layers, except those that give an output of the model; return how many went."""
    seen: dict[tuple[object, ...], list[Layer]] = {}
    gone: list[Layer] = []
    for layer in graph.layers:
        if layer.type == "Input":
            continue
        alike = seen.setdefault(_sketch(layer), [])
        twin = next((other for other in alike if other.weights == layer.weights), None)
        if twin is None:
            alike.append(layer)
        elif not any(blob in graph.outputs for blob in layer.outputs):
            for old, new in zip(layer.outputs, twin.outputs, strict=True):
                graph.redirect(old, new)
            gone.append(layer)
    graph.remove(gone)
    return len(gone)


def _sketch(layer: Layer) -> tuple[object, ...]:
    """Return what equal layers share, and others seldom do, without reading all their weights."""
    weights = tuple(
        (name, weight.storage, weight.data[:8].tobytes()) for name, weight in layer.weights.items()
    )
    # repr tells 1 from 1.0 and 0.0 from -0.0, which are other bits to ncnn.
    return layer.type, tuple(layer.inputs), len(layer.outputs), repr(sorted(layer.params.items())), weights
