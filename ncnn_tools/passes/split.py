"""Put in the Split layers that ncnn's files need: there a blob has one reader (src/net.cpp).

An output of the model counts as a reader: it must be a blob that no layer consumes, because ncnn frees a consumed
blob as soon as it is read.
"""

from __future__ import annotations

from ncnn_tools.graph import Graph, Layer, new_layer, unique_name


def insert_splits(graph: Graph) -> int:
    """Add a Split after each blob with several readers, and nowhere else; return how many."""
    readers = {blob: len(layers) for blob, layers in graph.consumers().items()}
    taken = set(graph.blobs())
    count = 0
    for layer in list(graph.layers):
        for index, blob in enumerate(layer.outputs):
            if readers.get(blob, 0) + (blob in graph.outputs) > 1:
                _split(graph, layer, index, taken)
                count += 1
    return count


def _split(graph: Graph, producer: Layer, index: int, taken: set[str]) -> None:
    blob = producer.outputs[index]
    whole = blob
    branches: list[str] = []
    if blob in graph.outputs:  # the output keeps its name as a branch that nobody consumes
        whole = unique_name(f"{blob}_whole", taken)
        producer.outputs[index] = whole
        branches.append(blob)
    for reader in graph.layers:
        for place, name in enumerate(reader.inputs):
            if name == blob:
                reader.inputs[place] = unique_name(f"{blob}_split_{len(branches)}", taken)
                branches.append(reader.inputs[place])
    for name in (whole, *branches):
        graph.inherit(name, blob)
    split = new_layer("Split", f"split_{blob}", [whole], branches)
    graph.layers.insert(next(i for i, layer in enumerate(graph.layers) if layer is producer) + 1, split)
