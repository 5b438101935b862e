"""Graphs of int8 and float layers: each layer as it was where it came from, wherever it stands now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.quantization import QuantizeOptions, check_chains, quantize, take_layers, unchain
from ncnn_tools.quantization.chains import gives_int8
from ncnn_tools.runtime import Runtime

Make = Callable[..., Any]

THRESHOLDS = {"x": 3.0, "a0": 4.0, "a1": 4.0, "b": 8.0}
NAMES = ("a", "b", "c", "y")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


@pytest.fixture
def graph(make_graph: Make, convolution: Make) -> Graph:
    """A convolution whose output two others read; layers are called as what they give."""
    layers: list[Layer] = [
        convolution("x", "a", normal(16, 8, 3, 3), 1),
        new_layer("Split", "split", ["a"], ["a0", "a1"]),
        convolution("a0", "b", normal(16, 1, 3, 3, seed=1), 1, "ConvolutionDepthWise"),
        convolution("a1", "c", normal(8, 16, 1, 1, seed=2)),
        convolution("b", "y", normal(5, 16, 3, 3, seed=3)),
    ]
    return make_graph((8, 9, 9), layers, ["c", "y"])


def run(graph: Graph) -> dict[str, np.ndarray]:
    return Runtime.from_graph(graph).run({"x": 3 * normal(8, 9, 9, seed=4)}, graph.outputs)


def assert_same(first: Graph, second: Graph) -> None:
    for blob, values in run(first).items():
        np.testing.assert_array_equal(values, run(second)[blob])


def test_no_layer_is_the_float_graph_and_all_are_the_quantized_one(graph: Graph) -> None:
    quantized = quantize(graph, THRESHOLDS)
    assert_same(take_layers(graph, quantized, []), graph)
    assert_same(take_layers(graph, quantized, NAMES), quantized)


@pytest.mark.parametrize(("name", "blob"), [("a", "x"), ("b", "a0"), ("c", "a1"), ("y", "b")])
def test_one_layer_is_as_if_it_alone_had_been_quantized(graph: Graph, name: str, blob: str) -> None:
    mixed = take_layers(graph, quantize(graph, THRESHOLDS), [name])
    assert_same(mixed, quantize(graph, {blob: THRESHOLDS[blob]}))
    assert any((values != run(graph)[output]).any() for output, values in run(mixed).items())


def test_neither_graph_is_changed(graph: Graph) -> None:
    quantized = quantize(graph, THRESHOLDS)
    before = [run(graph), run(quantized)]
    mixed = take_layers(graph, quantized, ["a", "y"])
    mixed.layers[1].set("int8_scale_term", 0)
    mixed.layers[1].set_weight("bias", np.zeros(16))
    for graph_before, graph_after in zip(before, [run(graph), run(quantized)], strict=True):
        for blob, values in graph_before.items():
            np.testing.assert_array_equal(values, graph_after[blob])


def test_chains_are_undone(graph: Graph) -> None:
    chained = quantize(graph, THRESHOLDS, QuantizeOptions(chains=True))
    assert any(gives_int8(layer) for layer in chained.layers)
    with pytest.raises(GraphError, match="gives int8"):
        take_layers(graph, chained, NAMES)
    assert_same(take_layers(graph, unchain(chained), NAMES), quantize(graph, THRESHOLDS))
    assert any(gives_int8(layer) for layer in chained.layers), "the chained graph itself is left alone"
    check_chains(unchain(chained))


@pytest.mark.parametrize("name", ["split", "nothing"])
def test_what_is_not_int8_cannot_be_taken(graph: Graph, name: str) -> None:
    with pytest.raises(GraphError, match=f"'{name}' is not int8"):
        take_layers(graph, quantize(graph, THRESHOLDS), ["a", name])


def test_another_graph_is_refused(graph: Graph) -> None:
    quantized = quantize(graph, THRESHOLDS)
    other = graph.copy()
    other.rename_blob("b", "d")
    with pytest.raises(GraphError, match="layer 'b' is another one"):
        take_layers(other, quantized, ["b"])
