"""The groups of channels that can be padded, and widths that fill vectors of 4 or 8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ncnn_tools.graph import Graph
from ncnn_tools.packing.borders import with_borders
from ncnn_tools.packing.classes import PaddingClasses


@dataclass(frozen=True)
class PaddingGroup:
    """Channels that are padded together, at the end of what one layer gives.

    `name` is that of the layer that gives these channels and no others (the first of several), `channels` how many it
    gives. `blobs` are all that hold them, some beside other channels; `layers` read or give one of these.
    """

    name: str
    channels: int
    blobs: tuple[str, ...]
    layers: tuple[str, ...]


def padding_groups(graph: Graph) -> list[PaddingGroup]:
    """Return the groups of a graph with shapes, in the order of their first layers.

    Among them are those that take a Padding or Crop layer of their own (see `borders`); a group of a Padding is
    called as that layer will be.
    """
    prepared = with_borders(graph)
    return list(numbered_groups(prepared, PaddingClasses(prepared)).values())


def numbered_groups(prepared: Graph, classes: PaddingClasses) -> dict[int, PaddingGroup]:
    """Map the class of the gap that each group pads to the group; `prepared` has its borders."""
    narrowest: dict[int, tuple[int, str]] = {}
    for layer in prepared.layers:
        for blob in layer.outputs:
            if blob not in classes:
                continue
            gap, channels = int(classes.of(blob)[-1]), len(classes.of(blob))
            if gap and (gap not in narrowest or channels < narrowest[gap][0]):
                narrowest[gap] = (channels, layer.name)
    holders: dict[int, list[str]] = {gap: [] for gap in narrowest}
    for blob in prepared.blobs():
        for gap in set(classes.of(blob).tolist() if blob in classes else ()) & holders.keys():
            holders[gap].append(blob)
    return {
        gap: PaddingGroup(name, channels, tuple(holders[gap]), _touching(prepared, holders[gap]))
        for gap, (channels, name) in narrowest.items()
    }


def _touching(graph: Graph, blobs: list[str]) -> tuple[str, ...]:
    held = set(blobs)
    return tuple(layer.name for layer in graph.layers if held.intersection([*layer.inputs, *layer.outputs]))


def aligned_widths(graph: Graph, multiple: int) -> Mapping[str, int]:
    """Return the width of every group whose channels are no multiple of 4 or 8: the next one."""
    return {
        group.name: -(-group.channels // multiple) * multiple
        for group in padding_groups(graph)
        if group.channels % multiple
    }
