"""The groups of channels that can be padded, and widths that fill vectors of 4 or 8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.packing.borders import with_borders
from ncnn_tools.packing.classes import PaddingClasses


@dataclass(frozen=True)
class PaddingGroup:
    """Channels that are padded together, at the end of what one layer gives.

    `name` is that of the layer that gives these channels and no others (the first of several), `channels` how many it
    gives. `blobs` are all that hold them, some beside other channels; `layers` read or give one of these. A group
    called as a Crop layer that is to be put in is what that one reads; it is at least as wide as what it gives.
    """

    name: str
    channels: int
    blobs: tuple[str, ...]
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Gaps:
    """The gaps between a graph's channels; `graph` is it with the Padding and Crop layers that it may get.

    `groups` maps the class of a gap to the group that pads there. `floors` maps the class of the last gap of a blob
    that is cropped to that of what is left of it: it takes as much padding at least.
    """

    graph: Graph
    classes: PaddingClasses
    groups: Mapping[int, PaddingGroup]
    floors: Mapping[int, int]


def find_gaps(graph: Graph) -> Gaps:
    """Find the gaps of a graph with shapes."""
    prepared = with_borders(graph)
    classes = PaddingClasses(prepared)
    own = {layer.name for layer in graph.layers}
    crops = [layer for layer in prepared.layers if layer.type == "Crop" and layer.name not in own]
    floors = {_end(classes, crop.inputs[0]): _end(classes, crop.outputs[0]) for crop in crops}
    return Gaps(prepared, classes, _groups(prepared, classes, crops), floors)


def padding_groups(graph: Graph) -> list[PaddingGroup]:
    """Return the groups of a graph with shapes, in the order of their first layers.

    Among them are those that take a Padding or Crop layer of their own (see `borders`) and are called as that layer
    will be.
    """
    return list(find_gaps(graph).groups.values())


def _groups(prepared: Graph, classes: PaddingClasses, crops: Sequence[Layer]) -> dict[int, PaddingGroup]:
    """Map classes of gaps to groups; what a Crop reads is called as the Crop, what it gives as the convolution."""
    names = {blob: layer.name for layer in prepared.layers for blob in layer.outputs}
    for crop in crops:
        names[crop.outputs[0]], names[crop.inputs[0]] = names[crop.inputs[0]], crop.name
    narrowest: dict[int, tuple[int, str]] = {}
    for blob, name in names.items():
        gap = _end(classes, blob)
        channels = len(classes.of(blob)) if gap else 0
        if gap and (gap not in narrowest or channels < narrowest[gap][0]):
            narrowest[gap] = (channels, name)
    holders: dict[int, list[str]] = {gap: [] for gap in narrowest}
    for blob in prepared.blobs():
        for gap in set(classes.of(blob).tolist() if blob in classes else ()) & holders.keys():
            holders[gap].append(blob)
    return {
        gap: PaddingGroup(name, channels, tuple(holders[gap]), _touching(prepared, holders[gap]))
        for gap, (channels, name) in narrowest.items()
    }


def _end(classes: PaddingClasses, blob: str) -> int:
    """Return the class of the gap behind a blob's last channel, 0 where nothing may stand."""
    return int(classes.of(blob)[-1]) if blob in classes else 0


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
