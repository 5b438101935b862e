"""How a network is written anew before anything is chosen for its layers: what a plan says beside its choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ncnn_tools.graph import Graph
from ncnn_tools.grouped import take_groups_apart
from ncnn_tools.packing import pad_channels


@dataclass(frozen=True)
class Rewriting:
    """What computes the same by other layers.

    Attributes:
        apart: names of grouped convolutions that are taken apart (`ncnn_tools.grouped`).
        widths: groups of channels of the graph that this makes, by name, and how wide they are padded
            (`ncnn_tools.packing`).
    """

    apart: Sequence[str] = ()
    widths: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Say whether it changes anything."""
        return bool(self.apart or self.widths)

    def apply(self, graph: Graph) -> Graph:
        """Return the graph written anew; GraphError where this is of another graph."""
        if self.apart:
            graph, _ = take_groups_apart(graph, self.apart)
        return pad_channels(graph, self.widths) if self.widths else graph
