"""Channels that must be scaled together: which channels of which blobs, and who takes the factor up at the ends.

A factor on a channel passes through layers that are positively homogeneous, f(s·x) = s·f(x) for s > 0, channel by
channel: Split, Concat of channels, PReLU, ReLU with or without slope, pooling, resizing, sums of two blobs. It ends
in a layer with weights of its own for that channel: a convolution's or InnerProduct's rows (where its fused
activation is homogeneous) or columns, a BatchNorm's mean or slope. Every other layer fixes its blobs' channels at a
factor of 1, as do the graph's inputs and outputs. All of it is found by union-find over (blob, channel).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.quantization.layers import is_depthwise
from ncnn_tools.schema import Activation, binary_op

_ELTWISE_SUM = 1
_HOMOGENEOUS = (Activation.NONE, Activation.RELU, Activation.LEAKY_RELU)
_CARRIERS = {"Split", "PReLU", "ReLU", "Pooling", "Interp", "Dropout", "Noop"}
_DENSE = ("Convolution", "InnerProduct")


class ScaleClasses:
    """Numbers the classes of channels: `of(blob)` gives each channel's class; class 0 is fixed at 1."""

    def __init__(self, graph: Graph) -> None:
        """Find the classes of a graph with shapes; blobs without, or without channels as first axis, are fixed."""
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

    def _tie(self, layer: Layer) -> None:
        known = all(blob in self._starts for blob in [*layer.inputs, *layer.outputs])
        if layer.type in _CARRIERS and known:
            for blob in layer.outputs:
                self._join(layer.inputs[0], blob)
        elif layer.type == "Concat" and layer.get("axis") == 0 and known:
            self._tie_concat(layer)
        elif _is_sum(layer) and known and self._are_alike(layer.inputs):
            for blob in layer.inputs:
                self._join(layer.outputs[0], blob)
        else:
            self._end(layer)

    def _are_alike(self, blobs: list[str]) -> bool:
        """Return whether blobs have the same axes and channels, so that channel meets channel."""
        return len({(self._counts[blob], len(self._shapes[blob])) for blob in blobs}) == 1

    def _tie_concat(self, layer: Layer) -> None:
        start = self._starts[layer.outputs[0]]
        for blob in layer.inputs:
            for channel in range(self._counts[blob]):
                self._union(self._starts[blob] + channel, start + channel)
            start += self._counts[blob]

    def _end(self, layer: Layer) -> None:
        """Fix the blobs of a layer, but for those whose factor its weights take up."""
        if not absorbs_input(layer):
            for blob in layer.inputs:
                self._fix(blob)
        if not absorbs_output(layer):
            for blob in layer.outputs:
                self._fix(blob)

    def _fix(self, blob: str) -> None:
        for node in self._nodes(blob):
            self._union(0, node)

    def _nodes(self, blob: str) -> Iterable[int]:
        start = self._starts.get(blob, 0)
        return range(start, start + self._counts.get(blob, 0))

    def _join(self, first: str, second: str) -> None:
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


def absorbs_input(layer: Layer) -> bool:
    """Return whether a layer's weights can undo a factor on each channel of its input."""
    if layer.type == "BatchNorm":
        return True
    if "weight" not in layer.weights or len(layer.inputs) != 1:
        return False
    if "pad_value" in layer.schema.params and layer.get("pad_value") != 0:
        return False
    return layer.type in _DENSE or is_depthwise(layer)


def absorbs_output(layer: Layer) -> bool:
    """Return whether a layer's weights can put a factor on each channel of its output."""
    if layer.type == "BatchNorm":
        return True
    return absorbs_input(layer) and layer.get("activation_type") in _HOMOGENEOUS


def _is_sum(layer: Layer) -> bool:
    if layer.type == "BinaryOp":
        return (
            layer.get("op_type") in (binary_op.ADD, binary_op.SUB)
            and not layer.get("with_scalar")
            and len(layer.inputs) == 2
        )
    return layer.type == "Eltwise" and bool(layer.get("op_type") == _ELTWISE_SUM)
