"""A graph as a phone runs it; what is not rounded is ncnn's own fp32 here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.half_precision import ALL_FP32, HalfEmulation, to_half
from ncnn_tools.half_precision.emulation import Precision, precision_of
from ncnn_tools.quantization import quantize
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import MASK_NO_FP16_ARITHMETIC, MASK_NO_FP16_STORAGE

Make = Callable[..., Any]


def normal(*shape: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


@pytest.fixture
def graph(make_graph: Make, convolution: Make) -> Graph:
    """A convolution, a PReLU, a Permute, which has no fp16 kernel, and another convolution."""
    slope = new_layer("PReLU", "slope", ["a"], ["b"], num_slope=6)
    slope.set_weight("slope", normal(6))
    layers = [
        convolution("x", "a", normal(6, 4, 3, 3, scale=0.2)),
        slope,
        new_layer("Permute", "turn", ["b"], ["c"], order_type=1),
        convolution("c", "y", normal(5, 6, 1, 1, scale=0.4)),
    ]
    result: Graph = make_graph((4, 9, 9), layers, ["y"])
    return result


def test_every_blob_of_a_layer_in_fp16_is_rounded(graph: Graph) -> None:
    x = {"x": normal(4, 9, 9, seed=1)}
    expected = Runtime.from_graph(graph).run(x, graph.blobs())
    steps = {step.layer.name: step for step in HalfEmulation(graph).steps(x)}
    np.testing.assert_array_equal(steps["a"].inputs["x"], to_half(x["x"]))
    for name, blob in (("a", "a"), ("slope", "b"), ("turn", "c"), ("y", "y")):
        values = steps[name].outputs[blob]
        np.testing.assert_array_equal(values, to_half(values))
        np.testing.assert_allclose(values, expected[blob], atol=0.01)
        assert not np.array_equal(values, expected[blob])


def test_masked_layers_compute_as_ncnn_does_here(graph: Graph) -> None:
    x = {"x": normal(4, 9, 9, seed=1)}
    expected = Runtime.from_graph(graph).run(x, ["y"])["y"]
    masks = {layer.name: ALL_FP32 for layer in graph.layers}
    np.testing.assert_array_equal(HalfEmulation(graph).outputs(x, masks)["y"], expected)


def test_without_fp16_arithmetic_only_what_is_stored_is_rounded(graph: Graph) -> None:
    x = {"x": normal(4, 9, 9, seed=1)}
    emulation = HalfEmulation(graph)
    first = graph.layers[1]
    stored = emulation.run_layer(first, x, Precision.STORED).outputs["a"]
    summed = emulation.run_layer(first, x, Precision.HALF).outputs["a"]
    rounded = first.weights["weight"], first.weights["bias"]
    weights, bias = (to_half(weight.values()) for weight in rounded)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(to_half(x["x"]), ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2)
    ).astype(np.float64)
    exact = np.einsum("ocij,chwij->ohw", weights.reshape(6, 4, 3, 3), windows) + bias[:, None, None]
    assert (stored == to_half(exact.astype(np.float32))).mean() > 0.99
    assert np.abs(summed - exact).mean() > 1.5 * np.abs(stored - exact).mean()


@pytest.mark.parametrize(
    ("kind", "mask", "precision"),
    [
        ("Sigmoid", 0, Precision.HALF),
        ("Sigmoid", MASK_NO_FP16_ARITHMETIC, Precision.STORED),
        ("Sigmoid", MASK_NO_FP16_STORAGE, Precision.FLOAT),
        ("Split", 0, Precision.HALF),
        ("Permute", 0, Precision.FLOAT),
    ],
)
def test_what_a_mask_makes_of_a_layer(kind: str, mask: int, precision: Precision) -> None:
    assert precision_of(new_layer(kind, "y", ["x"], ["y"]), mask) is precision


def test_sums_that_overflow_are_seen_and_can_be_healed(make_graph: Make, convolution: Make) -> None:
    weight = np.array([30_000, 30_000, 30_000, -60_000], np.float32).reshape(1, 4, 1, 1)
    graph = make_graph((4, 3, 3), [convolution("x", "y", weight)], ["y"])
    x = {"x": np.ones((4, 3, 3), np.float32)}
    emulation = HalfEmulation(graph)
    assert np.isinf(emulation.outputs(x)["y"]).all()
    (step,) = emulation.steps(x)
    assert step.overflowed
    np.testing.assert_allclose(step.outputs["y"], Runtime.from_graph(graph).run(x)["y"], rtol=1e-3)


def test_an_int8_graph_is_refused(graph: Graph) -> None:
    with pytest.raises(GraphError, match="layer 'a' is int8"):
        HalfEmulation(quantize(graph, {"x": 1.0}))
