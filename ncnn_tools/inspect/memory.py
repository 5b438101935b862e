"""The most memory that a network's activations take at once, from the order in which ncnn runs its layers.

ncnn runs what an output needs, depth first (`NetPrivate::forward_layer` in src/net.cpp), and in light mode, its
default, gives a blob free once its one reader has run (`do_forward_layer`). A layer that works in place hands its
input's memory on, or a copy of it where something else still holds that; Split hands out references. The caller
holds the inputs, and an output stays until the end.

Counted are the values of blobs. Left out is what comes and goes within a layer: workspace (im2col, winograd,
quantized inputs), padded or repacked copies of its inputs, rounding channels up to 16 bytes, and the outputs' copies
for the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ncnn_tools.cost import BlobSize
from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer
from ncnn_tools.schema import works_in_place

# Squeeze and ExpandDims give their input another shape (src/layer/squeeze.cpp, expanddims.cpp).
_SHARES = ("Split", "Squeeze", "ExpandDims")


@dataclass(frozen=True)
class Peak:
    """The most bytes of activations held at once, and the layer during which that was."""

    bytes: int
    layer: str


def execution_order(graph: Graph, outputs: Sequence[str]) -> list[Layer]:
    """Return the layers that ncnn runs when these blobs are extracted one after the other, in that order.

    Raises GraphError for a blob that no layer gives.
    """
    producers = graph.producers()
    if orphan := next((blob for blob in graph.blobs() if blob not in producers), None):
        raise GraphError(f"no layer gives the blob {orphan!r}")
    order: list[Layer] = []
    done: set[str] = set(graph.inputs)
    for output in outputs:
        waiting = [] if output in done else [producers[output]]
        while waiting:
            layer = waiting[-1]
            missing = next((blob for blob in layer.inputs if blob not in done), None)
            if missing is not None:
                waiting.append(producers[missing])
                continue
            waiting.pop()
            order.append(layer)
            done.update(layer.outputs)
    return order


def peak_activations(graph: Graph, sizes: Mapping[str, BlobSize], outputs: Sequence[str]) -> Peak:
    """Return the peak for extracting `outputs` in this order; `sizes` has every blob on the way.

    Raises GraphError for a graph that ncnn can't run: there each blob has a producer, and at most one reader.
    """
    readers = graph.consumers()
    for blob, layers in readers.items():
        if len(layers) + (blob in outputs) > 1:
            raise GraphError(f"blob {blob!r} has several readers, which takes a Split layer in ncnn")
    memory = _Memory(sizes)
    for blob in graph.inputs:
        memory.allocate(blob)
        memory.hold(blob)
    peak = Peak(memory.bytes, graph.layers[0].name if graph.layers else "")
    for layer in execution_order(graph, outputs):
        memory.run(layer)
        if memory.bytes > peak.bytes:
            peak = Peak(memory.bytes, layer.name)
        for blob in layer.inputs:
            memory.release(blob)
    return peak


class _Memory:
    """Buffers with counts of references, as ncnn's Mat has them. A buffer is known by the blob it was made for."""

    def __init__(self, sizes: Mapping[str, BlobSize]) -> None:
        self.bytes = 0
        self._sizes = sizes
        self._buffers: dict[str, str] = {}
        self._references: dict[str, int] = {}

    def allocate(self, blob: str) -> None:
        self._buffers[blob] = blob
        self._references[blob] = 1
        self.bytes += self._sizes[blob].bytes

    def hold(self, blob: str) -> None:
        self._references[self._buffers[blob]] += 1

    def share(self, blob: str, source: str) -> None:
        self._buffers[blob] = self._buffers[source]
        self.hold(blob)

    def release(self, blob: str) -> None:
        buffer = self._buffers.pop(blob)
        self._references[buffer] -= 1
        if not self._references[buffer]:
            self.bytes -= self._sizes[buffer].bytes

    def run(self, layer: Layer) -> None:
        """Make a layer's outputs; its inputs are still there."""
        in_place = works_in_place(layer.type, layer.integer)
        for index, blob in enumerate(layer.outputs):
            if in_place and index < len(layer.inputs) and self._is_only(layer.inputs[index]):
                self.share(blob, layer.inputs[index])
            elif layer.type in _SHARES:
                self.share(blob, layer.inputs[0])
            else:
                self.allocate(blob)

    def _is_only(self, blob: str) -> bool:
        return self._references[self._buffers[blob]] == 1
