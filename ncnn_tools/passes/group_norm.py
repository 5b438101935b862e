"""Recognize group normalization that is spelled out as an instance normalization of reshaped channels.

ONNX had no GroupNormalization before opset 18, so exporters see (C, H, W) as g groups of C/g·H·W values, normalize
each as if it were a channel, and see the result as (C, H, W) again. Channels are ncnn's outermost axis, so the groups
are of consecutive channels, which is what GroupNorm normalizes in one layer, without the two reshapes, which leave
the packed layout and come back to it. A factor and an offset for each group are those of all its channels.
"""

from __future__ import annotations

import numpy as np

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes.wiring import Wiring


def recognize_group_norms(graph: Graph) -> int:
    """Replace each Reshape → InstanceNorm → Reshape that normalizes groups of channels; return how many."""
    replaced = 0
    wiring = Wiring(graph)
    for last in list(graph.layers):
        chain = _chain(wiring, last)
        norm = _group_norm(graph, *chain) if chain else None
        if norm is not None and wiring.closed(chain, last):
            graph.replace(last, norm)
            graph.remove(chain)
            wiring = Wiring(graph)
            replaced += 1
    return replaced


def _chain(wiring: Wiring, last: Layer) -> list[Layer]:
    norm = wiring.producers.get(last.inputs[0]) if last.type == "Reshape" and len(last.inputs) == 1 else None
    first = wiring.producers.get(norm.inputs[0]) if norm is not None and norm.type == "InstanceNorm" else None
    return [first, norm, last] if first is not None and norm is not None and first.type == "Reshape" else []


def _group_norm(graph: Graph, first: Layer, norm: Layer, last: Layer) -> Layer | None:
    before, grouped, after = (
        graph.shapes.get(blob) for blob in (first.inputs[0], norm.inputs[0], last.outputs[0])
    )
    group = norm.integer("channels")
    if before is None or grouped is None or before != after or len(before) < 2 or len(first.inputs) != 1:
        return None
    if grouped[0] != group or before[0] % group:
        return None
    channels, affine = before[0], norm.get("affine")
    result = new_layer(
        "GroupNorm",
        last.name,
        first.inputs,
        last.outputs,
        group=group,
        channels=channels,
        eps=norm.get("eps"),
        affine=affine,
    )
    for name, weight in norm.weights.items():
        result.set_weight(name, np.repeat(weight.data, channels // group))
    return result
