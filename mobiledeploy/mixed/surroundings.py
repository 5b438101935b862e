"""Who reads whose blobs: what a layer's price depends on beside its own choice."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.quantization import INT8_GIVERS, INT8_TAKERS


@dataclass(frozen=True)
class Surroundings:
    """Of a graph's layers, by name.

    Attributes:
        readers: the layers that read a layer's blob, through Splits; None where it can't be int8, as something reads
            it that never takes int8, or nothing does.
        before: of a layer that can't be int8, the nearest layers above it that can.
        sizes: how many values a layer's first input and first output have.
    """

    readers: Mapping[str, frozenset[str] | None]
    before: Mapping[str, frozenset[str]]
    sizes: Mapping[str, tuple[int, int]]

    def chains(self, name: str, int8: Collection[str]) -> bool:
        """Say whether a layer hands int8 on where these layers are int8."""
        readers = self.readers.get(name)
        return name in int8 and readers is not None and all(reader in int8 for reader in readers)

    def share_behind(self, name: str, int8: Collection[str]) -> float:
        """Return the share of the layers before this one that are int8."""
        before = self.before.get(name, frozenset())
        return sum(above in int8 for above in before) / len(before) if before else 0.0


def find_surroundings(graph: Graph) -> Surroundings:
    """Look at a float graph whose blobs' shapes are known (those that are not count as one value)."""
    consumers = graph.consumers()
    producers = graph.producers()
    readers: dict[str, frozenset[str] | None] = {}
    before: dict[str, frozenset[str]] = {}
    for layer in graph.layers:
        if layer.type in INT8_GIVERS:
            readers[layer.name] = _readers(graph, layer.outputs[0], consumers)
        if layer.type not in INT8_TAKERS:
            above = [_nearest(producers[blob], before) for blob in layer.inputs]
            before[layer.name] = frozenset().union(*above)
    sizes = {
        layer.name: (_size(graph, layer.inputs[:1]), _size(graph, layer.outputs[:1]))
        for layer in graph.layers
    }
    return Surroundings(readers, before, sizes)


def _readers(graph: Graph, blob: str, consumers: Mapping[str, list[Layer]]) -> frozenset[str] | None:
    if blob in graph.outputs or not consumers.get(blob):
        return None
    found: set[str] = set()
    for layer in consumers[blob]:
        if layer.type == "Split":
            parts = [_readers(graph, output, consumers) for output in layer.outputs]
        else:
            parts = [frozenset({layer.name}) if layer.type in INT8_TAKERS else None]
        for part in parts:
            if part is None:
                return None
            found |= part
    return frozenset(found)


def _nearest(producer: Layer, before: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset({producer.name}) if producer.type in INT8_TAKERS else before[producer.name]


def _size(graph: Graph, blobs: list[str]) -> int:
    return math.prod(graph.shapes.get(blobs[0], (1,))) if blobs else 1
