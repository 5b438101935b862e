"""Recognize the channel shuffle of ShuffleNet.

(C, H, W) seen as (g, C/g, H, W), its first two axes swapped, seen as (C, H, W) again: ncnn's ShuffleChannel with
group g moves the same channels to the same places in one copy, without leaving the packed layout on the way.
"""

from __future__ import annotations

from ncnn_tools.graph import Graph, Layer, new_layer

_SWAP_OUTER_AXES = 6  # order_type "w h c d" (src/layer/permute.cpp)


def fuse_channel_shuffles(graph: Graph) -> int:
    """Replace each Reshape → Permute → Reshape that shuffles channels; return how many."""
    producers, consumers = graph.producers(), graph.consumers()
    replaced = 0
    for last in list(graph.layers):
        chain = _chain(graph, last, producers, consumers)
        group = _shuffle_group(graph, chain) if chain else None
        if not chain or group is None:
            continue
        shuffle = new_layer("ShuffleChannel", last.name, chain[0].inputs, last.outputs, group=group)
        graph.layers[graph.layers.index(last)] = shuffle
        graph.remove(chain)
        replaced += 1
    return replaced


def _chain(
    graph: Graph, last: Layer, producers: dict[str, Layer], consumers: dict[str, list[Layer]]
) -> list[Layer] | None:
    """Return the three layers that end in `last`, each the only reader of the one before."""
    chain = [last]
    for kind in ("Permute", "Reshape"):
        blob = chain[0].inputs[0] if chain[0].inputs else ""
        before = producers.get(blob)
        if before is None or before.type != kind or graph.sole_consumer(blob, consumers) is not chain[0]:
            return None
        chain.insert(0, before)
    return chain if last.type == "Reshape" else None


def _shuffle_group(graph: Graph, chain: list[Layer]) -> int | None:
    first, permute, last = chain
    before, split, after = (
        graph.shapes.get(blob) for blob in (first.inputs[0], first.outputs[0], last.outputs[0])
    )
    if before is None or split is None or before != after or permute.get("order_type") != _SWAP_OUTER_AXES:
        return None
    if len(before) != 3 or len(split) != 4 or split[0] * split[1] != before[0] or split[2:] != before[1:]:
        return None
    return split[0]
