"""Make one Slice of the Crops that take a blob apart.

Exporters write q, k, v = qkv[0], qkv[1], qkv[2] as three crops. Where the Crops of a blob go along one axis, one after
the other from its beginning to its end, a Slice gives the same parts: one layer instead of several and a Split, and
one that other passes see through.
"""

from __future__ import annotations

from typing import NamedTuple

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes.wiring import Wiring


class _Part(NamedTuple):
    """From where to where a Crop goes along an axis."""

    start: int
    stop: int
    axis: int
    crop: Layer


def merge_crops(graph: Graph) -> int:
    """Replace Crops that take a blob apart along an axis by one Slice; return how many blobs."""
    replaced = 0
    wiring = Wiring(graph)
    for blob, readers in wiring.readers.items():
        parts = [part for layer in readers if (part := _part(graph, blob, layer))]
        parts.sort(key=lambda part: part.start)
        if (
            len(parts) < 2
            or len(parts) < len(readers)
            or blob in graph.outputs
            or not _cover(graph, blob, parts)
        ):
            continue
        first = next(layer for layer in graph.layers if layer.type == "Crop" and layer.inputs[0] == blob)
        outputs = [part.crop.outputs[0] for part in parts]
        sizes = tuple(part.stop - part.start for part in parts)
        graph.replace(
            first, new_layer("Slice", first.name, [blob], outputs, slices=sizes, axis=parts[0].axis)
        )
        graph.remove(part.crop for part in parts)
        replaced += 1
    return replaced


def _part(graph: Graph, blob: str, layer: Layer) -> _Part | None:
    """Return from where to where a Crop goes along its only axis, or None."""
    shape, after = graph.shapes.get(blob), graph.shapes.get(layer.outputs[0] if layer.outputs else "")
    if layer.type != "Crop" or len(layer.inputs) != 1 or shape is None or after is None:
        return None
    axes = [axis for axis, sizes in enumerate(zip(shape, after, strict=False)) if sizes[0] != sizes[1]]
    if len(axes) != 1 or len(after) != len(shape):
        return None
    named = dict(zip(layer.get("axes") or range(len(shape)), layer.get("starts"), strict=False))
    start = next((value for axis, value in named.items() if axis % len(shape) == axes[0]), 0)
    start = start + shape[axes[0]] if start < 0 else start
    return _Part(start, start + after[axes[0]], axes[0], layer)


def _cover(graph: Graph, blob: str, parts: list[_Part]) -> bool:
    """Return whether parts along one axis lie end to end over the whole of it."""
    ends = [0, *(part.stop for part in parts)]
    starts = [*(part.start for part in parts), graph.shapes[blob][parts[0].axis]]
    return len({part.axis for part in parts}) == 1 and starts == ends
