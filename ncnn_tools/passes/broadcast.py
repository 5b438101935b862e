"""Let arithmetic broadcast one pixel rather than enlarge it first.

Enlarged from 1x1, whatever the mode, every pixel of a channel is the same. BinaryOp computes with (C, 1, 1) as with
that (src/layer/binaryop.cpp), so where all readers are BinaryOps whose other operand has the full size, Interp goes.
"""

from __future__ import annotations

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.wiring import Wiring


def broadcast_single_pixels(graph: Graph) -> int:
    """Remove each Interp of a single pixel whose readers are arithmetic with a blob of full size; return how many."""
    wiring = Wiring(graph)
    gone = [
        layer for layer in graph.layers if layer.type == "Interp" and _can_broadcast(graph, wiring, layer)
    ]
    for layer in gone:
        graph.redirect(layer.outputs[0], layer.inputs[0])
    graph.remove(gone)
    return len(gone)


def _can_broadcast(graph: Graph, wiring: Wiring, interp: Layer) -> bool:
    blob = interp.outputs[0]
    before, after = graph.shapes.get(interp.inputs[0], ()), graph.shapes.get(blob)
    if len(before) != 3 or before[1:] != (1, 1) or blob in graph.outputs or after is None:
        return False
    readers = wiring.readers.get(blob, [])
    return bool(readers) and all(
        reader.type == "BinaryOp"
        and any(graph.shapes.get(other) == after for other in reader.inputs if other != blob)
        for reader in readers
    )
