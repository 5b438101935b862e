"""Merge scales and offsets that follow each other.

g(f(x)) of two affine maps is one: b·(a·x + c) + d = (a·b)·x + (b·c + d). Where it can be one layer, two become one:
BinaryOp with a scalar for a common factor or offset, Scale for what differs along the first axis, and for both
a common factor and a common offset. A map along the first axis whose constant stands in a MemoryData layer becomes
a Scale too: that layer copies the constant each time, and BinaryOp then writes to new memory, where Scale works in
place.
"""

from __future__ import annotations

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes.affine import Affine, AffineLayer, read_affine, scale_layer
from ncnn_tools.passes.wiring import Wiring
from ncnn_tools.schema import binary_op


def merge_affines(graph: Graph) -> int:
    """Make one layer of scales and offsets in a row, and a Scale of a constant's BinaryOp; return how often."""
    merged = 0
    wiring = Wiring(graph)
    for layer in list(graph.layers):
        found = read_affine(graph, layer, wiring.producers)
        if found is None:
            continue
        before = wiring.producers[found.source]
        first = read_affine(graph, before, wiring.producers)
        if first is not None and wiring.only_reader(found.source) is layer:
            replacement = _both(graph, first, found)
            gone = [before]
        else:
            replacement, gone = _without_constant(found), []
        if replacement is not None:
            graph.replace(layer, replacement)
            graph.remove(gone)
            wiring = Wiring(graph)
            merged += 1
    return merged


def _both(graph: Graph, first: AffineLayer, second: AffineLayer) -> Layer | None:
    shape = graph.shapes.get(second.source)
    affine = None if shape is None else first.affine.then(second.affine, shape)
    if affine is None or shape is None:
        return None
    return _one_layer(second.layer, first.source, affine, shape)


def _one_layer(layer: Layer, source: str, affine: Affine, shape: tuple[int, ...]) -> Layer | None:
    if affine.axis is None and affine.is_scale:
        factor = float(affine.factor[0])
        return _with_scalar(layer, source, binary_op.MUL, factor)
    if affine.axis is None and (affine.factor == 1).all():
        return _with_scalar(layer, source, binary_op.ADD, float(affine.offset[0]))
    along = affine.along(0, shape[0])
    return None if along is None else scale_layer(layer.name, source, layer.outputs[0], along)


def _with_scalar(layer: Layer, source: str, code: int, value: float) -> Layer:
    return new_layer("BinaryOp", layer.name, [source], layer.outputs, op_type=code, with_scalar=1, b=value)


def _without_constant(found: AffineLayer) -> Layer | None:
    layer, source, affine = found
    if layer.type != "BinaryOp" or len(layer.inputs) != 2 or affine.axis != 0:
        return None
    return scale_layer(layer.name, source, layer.outputs[0], affine)
