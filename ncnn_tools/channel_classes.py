"""Union-find over the channels of all blobs: which of them a rewrite has to treat alike.

What ties channels together is for the rewrite to say (`_tie` of a subclass): cross-layer equalization scales them,
packing puts others behind them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer


class ChannelClasses(ABC):
    """Numbers the classes of channels: `of(blob)` gives each channel's class; class 0 is fixed."""

    def __init__(self, graph: Graph) -> None:
        """Find the classes of a graph with shapes; blobs without, or without channels as first axis, are fixed.

        So are the graph's inputs and outputs.
        """
        self._shapes = {blob: shape for blob, shape in graph.shapes.items() if len(shape) in (1, 3)}
        self._counts = {blob: shape[0] for blob, shape in self._shapes.items()}
        self._starts: dict[str, int] = {}
        size = 1
        for blob, count in self._counts.items():
            self._starts[blob] = size
            size += count
        self._parents = np.arange(size)
        for layer in graph.layers:
            self._tie(layer)
        for blob in [*graph.inputs, *graph.outputs]:
            self._fix(blob)
        self._roots = np.array([self._root(node) for node in range(size)])

    @abstractmethod
    def _tie(self, layer: Layer) -> None:
        """Join the channels that a layer ties together, and fix those that it leaves no choice for."""

    def of(self, blob: str) -> npt.NDArray[np.int64]:
        """Return the class of each channel of a blob."""
        start = self._starts[blob]
        classes: npt.NDArray[np.int64] = self._roots[start : start + self._counts[blob]]
        return classes

    def __contains__(self, blob: object) -> bool:
        return blob in self._starts

    @property
    def size(self) -> int:
        """One more than the largest number of a class."""
        return len(self._roots)

    def _tie_concat(self, layer: Layer) -> None:
        """Join the channels of a Concat along its first axis with those of its inputs; all must be known."""
        start = self._starts[layer.outputs[0]]
        for blob in layer.inputs:
            for channel in range(self._counts[blob]):
                self._union(self._starts[blob] + channel, start + channel)
            start += self._counts[blob]

    def _fix(self, blob: str) -> None:
        for node in self._nodes(blob):
            self._union(0, node)

    def _nodes(self, blob: str) -> Iterable[int]:
        start = self._starts.get(blob, 0)
        return range(start, start + self._counts.get(blob, 0))

    def _join(self, first: str, second: str) -> None:
        """Join the channels of two blobs one by one; both are fixed where they have not as many."""
        if self._counts[first] != self._counts[second]:
            self._fix(first)
            self._fix(second)
            return
        for one, other in zip(self._nodes(first), self._nodes(second), strict=True):
            self._union(one, other)

    def _union(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        self._parents[high] = low  # the fixed class, 0, stays its own root

    def _root(self, node: int) -> int:
        while self._parents[node] != node:
            self._parents[node] = self._parents[self._parents[node]]
            node = int(self._parents[node])
        return node
