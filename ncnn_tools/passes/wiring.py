"""Who gives and who reads each blob of a graph, at one moment."""

from __future__ import annotations

from collections.abc import Iterable

from ncnn_tools.graph import Graph, Layer


class Wiring:
    """The producers and readers of a graph's blobs as they were when this was made."""

    def __init__(self, graph: Graph) -> None:
        self._outputs = set(graph.outputs)
        self.producers = graph.producers()
        self.readers = graph.consumers()

    def only_reader(self, blob: str) -> Layer | None:
        """Return the only reader of a blob that is not an output of the model, or None."""
        readers = self.readers.get(blob, [])
        return readers[0] if len(readers) == 1 and blob not in self._outputs else None

    def closed(self, layers: Iterable[Layer], root: Layer) -> bool:
        """Return whether these layers can go but for what `root` gives: nobody else needs the others' outputs."""
        inside = {id(layer): layer for layer in layers}
        return all(
            blob not in self._outputs and all(id(reader) in inside for reader in self.readers.get(blob, []))
            for layer in inside.values()
            if layer is not root
            for blob in layer.outputs
        )
