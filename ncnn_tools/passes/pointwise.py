"""Merge a 1x1 convolution into the linear layer before it.

V·(W·x + b) + c = (V·W)·x + (V·b + c): one layer instead of two, for a convolution of any kernel and for Gemm, also
where Gemm's result is only turned and reshaped into (channels, height, width) in between. Done where it takes fewer
multiply-adds: V·W has inputs x outputs weights, which is more than both have together where the channels in
between are few (a bottleneck).
"""

from __future__ import annotations

import numpy as np

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.affine import Affine
from ncnn_tools.passes.affine_moves import through_backwards
from ncnn_tools.passes.linear import bias_vector, is_linear, output_axis, output_count, rows, set_weights
from ncnn_tools.passes.upsampling import is_pointwise_convolution
from ncnn_tools.passes.wiring import Wiring

_MOVES = {"Permute", "Reshape"}
_HOSTS = {"Convolution", "Gemm", "InnerProduct"}


def merge_pointwise_convolutions(graph: Graph) -> int:
    """Merge 1x1 convolutions into the linear layer before them where that is less work; return how many."""
    merged = 0
    wiring = Wiring(graph)
    for layer in list(graph.layers):
        if not is_pointwise_convolution(layer):
            continue
        chain = _chain(graph, wiring, layer)
        if chain and _is_less_work(chain[0], layer, moves=len(chain) > 1):
            _merge(graph, chain, layer)
            wiring = Wiring(graph)
            merged += 1
    return merged


def _chain(graph: Graph, wiring: Wiring, layer: Layer) -> list[Layer]:
    """Return the linear layer whose outputs are a convolution's channels, and the moves after it; or nothing."""
    chain: list[Layer] = []
    blob, channels = layer.inputs[0], graph.shapes.get(layer.inputs[0], (0,))[0]
    numbers = np.arange(1.0, channels + 1)
    where = Affine(0, numbers, np.zeros(channels))
    while wiring.only_reader(blob) is not None:
        before = wiring.producers[blob]
        chain.insert(0, before)
        if before.type in _HOSTS and is_linear(before):
            same = where.axis == output_axis(graph, before) and np.array_equal(where.factor, numbers)
            return chain if same else []
        passed = through_backwards(graph, before, where) if before.type in _MOVES else None
        if passed is None:
            return []
        where, blob = passed, before.inputs[0]
    return []


def _is_less_work(host: Layer, layer: Layer, *, moves: bool) -> bool:
    """Compare multiply-adds for each pixel; after moves the shapes have to stay."""
    middle, outputs = output_count(host), layer.integer("num_output")
    if host.type != "Gemm" and host.get("activation_type"):
        return False
    if moves and middle != outputs:
        return False
    inputs = rows(host).shape[1]
    return bool(inputs * outputs < inputs * middle + middle * outputs)


def _merge(graph: Graph, chain: list[Layer], layer: Layer) -> None:
    host, second = chain[0], rows(layer)
    bias = second @ bias_vector(host) + bias_vector(layer)
    weight = second @ rows(host)
    if host.type == "Gemm":
        host.set("constant_n", len(bias))
    else:
        host.set("num_output", len(bias))
        host.weights.pop("bias", None)
        host.set("bias_term", 0)
    set_weights(host, weight, bias)
    for before in chain:
        graph.origins.pop(before.outputs[0], None)
    graph.remove([layer])
    graph.rename_blob(layer.inputs[0], layer.outputs[0])
