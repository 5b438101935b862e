"""A graph with everything that prices depend on: a fan-out of int8, a Concat between, an output that is read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.mixed import Stock
from ncnn_tools.quantization import QuantizeOptions, quantize


def _convolution(name: str, source: str, channels: int, width: int = 1, kind: str = "Convolution") -> Layer:
    """Make a layer of 8 channels, or one that reads so many, which gives a blob by its own name."""
    shape = (8, 1, 3, 3) if kind == "ConvolutionDepthWise" else (8, channels, width, width)
    weight = np.random.default_rng(len(name)).normal(0, 0.2, shape).astype(np.float32)
    params = {"group": 8} if kind == "ConvolutionDepthWise" else {}
    if kind != "InnerProduct":
        params |= {"kernel_w": shape[-1], "pad_left": shape[-1] // 2}
    layer = new_layer(
        kind, name, [source], [name], num_output=8, bias_term=1, weight_data_size=weight.size, **params
    )
    layer.set_weight("weight", weight)
    layer.set_weight("bias", np.zeros(8))
    return layer


@pytest.fixture(scope="session")
def convolution() -> Callable[..., Layer]:
    return _convolution


@pytest.fixture(scope="session")
def graph() -> Graph:
    """x → stem → split → left, right → concat → joined → deep → tail, and joined2, an output that pool reads too."""
    graph = Graph(
        [
            new_layer("Input", "x", [], ["x"], w=6, h=6, c=8),
            _convolution("stem", "x", 8, 3),
            new_layer("Split", "split", ["stem"], ["s0", "s1"]),
            _convolution("left", "s0", 8, 3),
            _convolution("right", "s1", 8, kind="ConvolutionDepthWise"),
            new_layer("Concat", "concat", ["left", "right"], ["both"]),
            _convolution("joined", "both", 16),
            _convolution("deep", "joined", 8, 3),
            new_layer("Split", "fork", ["deep"], ["f0", "f1"]),
            new_layer("Pooling", "pool", ["f0"], ["p"], pooling_type=1, global_pooling=1),
            _convolution("tail", "p", 8, kind="InnerProduct"),
        ],
        ["tail", "f1"],
    )
    square = dict.fromkeys(
        ["x", "stem", "s0", "s1", "left", "right", "joined", "deep", "f0", "f1"], (8, 6, 6)
    )
    graph.shapes = {**square, "both": (16, 6, 6), "p": (8,), "tail": (8,)}
    return graph


@pytest.fixture(scope="session")
def make_stock() -> Callable[[Graph], Stock]:
    """Quantize a graph, every blob clipped at 3."""

    def make(graph: Graph) -> Stock:
        thresholds = {blob: 3.0 for layer in graph.layers for blob in layer.inputs}
        exact, narrow = (
            quantize(graph, thresholds, QuantizeOptions(prefer=prefer)) for prefer in ("error", "speed")
        )
        return Stock(graph, exact, narrow)

    return make


@pytest.fixture(scope="session")
def stock(graph: Graph, make_stock: Callable[[Graph], Stock]) -> Stock:
    return make_stock(graph)
