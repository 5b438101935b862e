"""Merge products of the same blob with constant weights whose results are added.

A·x + a + B·x + b = (A + B)·x + (a + b), and likewise with a minus. Networks trained with a second, distilled head give
the mean of both (DeiT, arXiv:2012.12877; LeViT; EfficientFormer): one head of the same size gives it too, and reads
half the weights.
"""

from __future__ import annotations

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.linear import bias_vector, is_linear, output_count, rows, set_weights
from ncnn_tools.passes.wiring import Wiring
from ncnn_tools.schema import binary_op

_PRODUCTS = ("InnerProduct", "Gemm")


def merge_parallel_products(graph: Graph) -> int:
    """Merge InnerProducts or Gemms of one blob that are added or subtracted; return how many sums went."""
    merged = 0
    wiring = Wiring(graph)
    for layer in list(graph.layers):
        if (
            layer.type != "BinaryOp"
            or layer.get("op_type") not in (binary_op.ADD, binary_op.SUB)
            or len(layer.inputs) != 2
        ):
            continue
        first, second = (wiring.producers[blob] for blob in layer.inputs)
        if not _can_merge(wiring, first, second):
            continue
        sign = -1.0 if layer.get("op_type") == binary_op.SUB else 1.0
        set_weights(first, rows(first) + sign * rows(second), bias_vector(first) + sign * bias_vector(second))
        first.outputs = layer.outputs
        graph.remove([second, layer])
        wiring = Wiring(graph)
        merged += 1
    return merged


def _can_merge(wiring: Wiring, first: Layer, second: Layer) -> bool:
    alike = first is not second and first.type == second.type and first.type in _PRODUCTS
    if not alike or first.inputs != second.inputs or not (is_linear(first) and is_linear(second)):
        return False
    if first.type == "InnerProduct" and (first.get("activation_type") or second.get("activation_type")):
        return False
    alone = all(wiring.only_reader(layer.outputs[0]) is not None for layer in (first, second))
    return alone and output_count(first) == output_count(second)
