"""Equalization: the same function to the last bit, with activations of more even channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.quantization import collect_ranges, equalize, quantize
from ncnn_tools.runtime import Runtime

Make = Callable[..., Any]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def uneven(outputs: int, inputs: int, kernel: int = 3) -> np.ndarray:
    """Weights whose outputs differ in size by up to a hundred times."""
    sizes = np.geomspace(0.02, 2, outputs).astype(np.float32)
    return sizes[:, None, None, None] * normal(outputs, inputs, kernel, kernel, seed=outputs)


def batch_norm(source: str, target: str, channels: int) -> Layer:
    layer = new_layer("BatchNorm", target, [source], [target], channels=channels, eps=1e-3)
    for number, name in enumerate(("slope", "mean", "var", "bias")):
        values = normal(channels, seed=10 + number)
        layer.set_weight(name, np.abs(values) + 0.5 if name == "var" else values)
    return layer


def prelu(source: str, target: str, channels: int) -> Layer:
    layer = new_layer("PReLU", target, [source], [target], num_slope=channels)
    layer.set_weight("slope", normal(channels, seed=20))
    return layer


SAMPLES = [{"x": normal(6, 12, 12, seed=30 + number)} for number in range(3)]


def both(graph: Graph) -> tuple[Graph, Graph]:
    return graph, equalize(graph, collect_ranges(graph, SAMPLES))


def values(graph: Graph, blob: str) -> list[np.ndarray]:
    runtime = Runtime.from_graph(graph)
    return [runtime.run(sample, [blob])[blob] for sample in SAMPLES]


def changed(before: Graph, after: Graph) -> set[str]:
    """Return the names of the layers whose weights differ."""
    pairs = zip(before.layers, after.layers, strict=True)
    return {one.name for one, other in pairs if one.weights != other.weights}


CASES = ["relu", "leaky", "prelu", "pooling", "depthwise", "norm", "dense", "inner", "split"]


def layers_of(case: str, convolution: Make) -> list[Layer]:
    """Layers from "x" of 6 channels to "y", by which factors pass or in which they end."""
    first = convolution("x", "a", uneven(8, 6))
    last = convolution("b", "y", normal(5, 8, 3, 3, seed=2))
    if case in ("relu", "leaky"):
        return [convolution("x", "b", uneven(8, 6), {"relu": 1, "leaky": 2}[case]), last]
    if case == "prelu":
        return [first, prelu("a", "b", 8), last]
    if case == "pooling":
        pool = new_layer("Pooling", "b", ["a"], ["b"], pooling_type=0, kernel_w=2, stride_w=2)
        return [first, pool, last]
    if case == "depthwise":
        return [first, convolution("a", "b", uneven(8, 1), 1, "ConvolutionDepthWise"), last]
    if case == "norm":
        return [first, batch_norm("a", "n", 8), prelu("n", "b", 8), last]
    if case == "inner":
        return [
            convolution("x", "b", uneven(8, 6), 1),
            convolution("b", "y", normal(3, 8 * 144), kind="InnerProduct"),
        ]
    split = new_layer("Split", "split", ["a"], ["a0", "a1"])
    second = convolution("a1", "c", uneven(4, 8), 1)
    if case == "split":
        return [
            first,
            split,
            convolution("a0", "d", uneven(8, 8), 1),
            convolution("a1", "e", uneven(8, 8), 1),
            new_layer("BinaryOp", "b", ["d", "e"], ["b"], op_type=0),
            last,
        ]
    join = new_layer("Concat", "c", ["a0", "c"], ["b"])
    return [first, split, second, join, convolution("b", "y", normal(5, 12, 1, 1))]


@pytest.mark.parametrize("case", CASES)
def test_the_function_is_the_same_to_the_last_bit(make_graph: Make, convolution: Make, case: str) -> None:
    before, after = both(make_graph((6, 12, 12), layers_of(case, convolution), ["y"]))
    assert len(changed(before, after)) >= 2
    for one, other in zip(values(before, "y"), values(after, "y"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("case", ["relu", "prelu", "norm"])
def test_uneven_channels_quantize_better(make_graph: Make, convolution: Make, case: str) -> None:
    before, after = both(make_graph((6, 12, 12), layers_of(case, convolution), ["y"]))
    expected = values(before, "y")
    errors = []
    for graph in (before, after):
        top = max(np.abs(value).max() for value in values(graph, "b"))
        result = values(quantize(graph, {"b": float(top)}), "y")
        errors.append(np.mean([np.square(a - b).mean() for a, b in zip(result, expected, strict=True)]))
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize(
    "between",
    [
        new_layer("Sigmoid", "between", ["a"], ["b"]),
        new_layer("Clip", "between", ["a"], ["b"], min=0.0, max=6.0),
        new_layer("HardSwish", "between", ["a"], ["b"]),
        new_layer("BinaryOp", "between", ["a"], ["b"], op_type=0, with_scalar=1, b=1.0),
    ],
    ids=lambda layer: layer.type,
)
def test_what_is_not_homogeneous_stops_it(make_graph: Make, convolution: Make, between: Layer) -> None:
    layers = [convolution("x", "a", uneven(8, 6)), between, convolution("b", "y", normal(5, 8, 3, 3))]
    assert not changed(*both(make_graph((6, 12, 12), layers, ["y"])))


@pytest.mark.parametrize("activation", [3, 4, 5, 6])
def test_a_fused_activation_that_is_not_homogeneous_stops_it(
    make_graph: Make, convolution: Make, activation: int
) -> None:
    layers = [convolution("x", "a", uneven(8, 6), activation), convolution("a", "y", normal(5, 8, 3, 3))]
    assert not changed(*both(make_graph((6, 12, 12), layers, ["y"])))


def test_an_output_stays_as_it_is(make_graph: Make, convolution: Make) -> None:
    split = new_layer("Split", "split", ["a"], ["a0", "a1"])
    layers = [convolution("x", "a", uneven(8, 6), 1), split, convolution("a0", "y", normal(5, 8, 3, 3))]
    assert not changed(*both(make_graph((6, 12, 12), layers, ["y", "a1"])))


def test_dead_channels_are_left_alone(make_graph: Make, convolution: Make) -> None:
    first = convolution("x", "a", uneven(8, 6), 1)
    weight = first.weights["weight"].values().reshape(8, -1)
    weight[3] = 0
    first.set_weight("weight", weight)
    first.set_weight("bias", np.zeros(8))
    before, after = both(make_graph((6, 12, 12), [first, convolution("a", "y", normal(5, 8, 3, 3))], ["y"]))
    for one, other in zip(values(before, "y"), values(after, "y"), strict=True):
        np.testing.assert_array_equal(one, other)
    columns = [graph.layers[2].weights["weight"].values().reshape(5, 8, 9)[:, 3] for graph in (before, after)]
    np.testing.assert_array_equal(*columns)
