"""Centering: the same function in float, and half as wide steps in int8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.quantization import (
    QuantizeOptions,
    center,
    centered_thresholds,
    centering_offsets,
    collect_input_statistics,
    collect_ranges,
    quantize,
)
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import Activation

Make = Callable[..., Any]

SAMPLES = [
    {"x": np.random.default_rng(number).normal(0, 1, (8, 11, 13)).astype(np.float32)} for number in range(3)
]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 1, shape)
    return (values / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def clipped(layer: Layer) -> Layer:
    layer.set("activation_type", 3)
    layer.set("activation_params", (0.0, 2.0))
    return layer


def split(source: str, *targets: str) -> Layer:
    return new_layer("Split", f"{source}_split", [source], list(targets))


# Layers from "x" to "y", and the blobs that are centered.
CASES: dict[str, tuple[Callable[[Make], list[Layer]], set[str]]] = {
    "pointwise": (
        lambda conv: [conv("x", "a", normal(12, 8, 1, 1), 1), conv("a", "y", normal(5, 12, 1, 1, seed=1))],
        {"a"},
    ),
    "padded, of stride 2": (
        lambda conv: [
            conv("x", "a", normal(16, 8, 1, 1), 1),
            conv("a", "y", normal(8, 16, 3, 3, seed=1), stride_w=2),
        ],
        {"a"},
    ),
    "a clip, depthwise": (
        lambda conv: [
            clipped(conv("x", "a", 4 * normal(8, 8, 3, 3))),
            conv("a", "b", 2 * normal(8, 1, 3, 3, seed=1), 1, "ConvolutionDepthWise"),
            conv("b", "y", normal(5, 8, 1, 1, seed=2)),
        ],
        {"a", "b"},
    ),
    "a fan-out": (
        lambda conv: [
            conv("x", "a", normal(8, 8, 1, 1), 1),
            split("a", "a0", "a1"),
            conv("a0", "p", normal(4, 8, 1, 1, seed=1)),
            conv("a1", "q", normal(4, 8, 5, 5, seed=2)),
            new_layer("BinaryOp", "y", ["p", "q"], ["y"], op_type=0),
        ],
        {"a", "a0", "a1"},
    ),
    "joined and shuffled": (
        lambda conv: [
            split("x", "x0", "x1"),
            conv("x0", "a", normal(6, 8, 1, 1), 1),
            conv("x1", "b", normal(6, 8, 1, 1, seed=5), 1),
            new_layer("Concat", "c", ["a", "b"], ["c"]),
            new_layer("ShuffleChannel", "s", ["c"], ["s"], group=2),
            new_layer("Pooling", "m", ["s"], ["m"], pooling_type=1, kernel_w=3, stride_w=2, pad_left=1, pad_mode=1),
            conv("m", "y", normal(4, 12, 1, 1, seed=1)),
        ],
        {"a", "b", "c", "s", "m"},
    ),
    "averaged, InnerProduct": (
        lambda conv: [
            conv("x", "a", normal(8, 8, 1, 1), 1),
            new_layer("Pooling", "m", ["a"], ["m"], pooling_type=1, global_pooling=1),
            conv("m", "y", normal(3, 8, seed=1), 0, "InnerProduct"),
        ],
        {"a", "m"},
    ),
    "winograd": (
        lambda conv: [conv("x", "a", normal(8, 8, 1, 1), 1), conv("a", "y", normal(5, 8, 3, 3, seed=1))],
        set(),
    ),
    "no ReLU": (
        lambda conv: [conv("x", "a", normal(8, 8, 1, 1), 2), conv("a", "y", normal(5, 8, 1, 1, seed=1))],
        set(),
    ),
    "another reader": (
        lambda conv: [
            conv("x", "a", normal(8, 8, 1, 1), 1),
            split("a", "a0", "a1"),
            conv("a0", "p", normal(8, 8, 1, 1, seed=1)),
            new_layer("BinaryOp", "y", ["p", "a1"], ["y"], op_type=0),
        ],
        set(),
    ),
    "averaged with its padding": (
        lambda conv: [
            conv("x", "a", normal(8, 8, 1, 1), 1),
            new_layer(
                "Pooling", "m", ["a"], ["m"], pooling_type=1, kernel_w=3, pad_left=1, pad_mode=1,
                avgpool_count_include_pad=1,
            ),
            conv("m", "y", normal(3, 8, 1, 1, seed=1)),
        ],
        set(),
    ),
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, make_graph: Make, convolution: Make) -> tuple[Graph, set[str]]:
    """A graph with shapes, and the blobs of it that are to be centered."""
    make, expected = CASES[request.param]
    graph = make_graph((8, 11, 13), make(convolution), ["y"])
    collect_ranges(graph, SAMPLES)  # gives it shapes
    return graph, expected


def thresholds_of(graph: Graph) -> dict[str, float]:
    return {blob: float(seen.largest.max()) for blob, seen in collect_ranges(graph, SAMPLES).items()}


def outputs(graph: Graph, blob: str = "y") -> np.ndarray:
    runtime = Runtime.from_graph(graph)
    return np.stack([runtime.run(sample, [blob])[blob] for sample in SAMPLES])


def test_what_can_be_is_centered_and_the_network_computes_the_same(case: tuple[Graph, set[str]]) -> None:
    graph, expected = case
    offsets = centering_offsets(graph, thresholds_of(graph))
    assert set(offsets) == expected
    graph.origins = {blob: blob for blob in graph.blobs()}
    centered = center(graph, offsets)
    np.testing.assert_allclose(outputs(centered), outputs(graph), atol=2e-5)
    for blob, offset in offsets.items():
        np.testing.assert_allclose(outputs(centered, blob), offset - outputs(graph, blob), atol=2e-5)
    assert set(centered.origins) == set(graph.blobs()) - expected


def test_int8_is_nearer_to_float(case: tuple[Graph, set[str]]) -> None:
    """Steps half as wide are worth 6 dB of the input's error; the weights have theirs."""
    graph, expected = case
    thresholds = {blob: most for blob, most in thresholds_of(graph).items() if blob in expected}
    offsets = centering_offsets(graph, thresholds)
    centered = int8(center(graph, offsets), centered_thresholds(thresholds, offsets))
    exact = outputs(graph)
    errors = [float(np.square(outputs(one) - exact).mean()) for one in (centered, int8(graph, thresholds))]
    assert errors[0] < 0.6 * errors[1] if expected else errors[0] == errors[1]


def int8(graph: Graph, thresholds: dict[str, float]) -> Graph:
    seen = collect_input_statistics(graph, SAMPLES, thresholds)
    return quantize(graph, thresholds, QuantizeOptions(bias_correction=True, chains=True), seen)


def test_padding_is_a_step_of_int8(convolution: Make, make_graph: Make) -> None:
    layers = [
        convolution("x", "a", normal(8, 8, 1, 1), 1),
        convolution("a", "y", normal(8, 1, 3, 3, seed=1), 0, "ConvolutionDepthWise"),
    ]
    graph = make_graph((8, 11, 13), layers, ["y"])
    collect_ranges(graph, SAMPLES)
    offsets = centering_offsets(graph, {"a": 3.0})
    assert offsets == {"a": 1.5}
    centered = center(graph, offsets)
    assert centered.layers[-1].get("pad_value") == 1.5
    assert centered.layers[-2].get("activation_type") == Activation.CLIP
    quantized = quantize(centered, centered_thresholds({"a": 3.0}, offsets))
    assert quantized.layers[-1].get("pad_value") == 127


def test_one_offset_for_unlike_blobs_is_left_out(convolution: Make, make_graph: Make) -> None:
    """A blob that is clipped at less than half of the other would get wider steps."""
    make, _ = CASES["a fan-out"]
    graph = make_graph((8, 11, 13), make(convolution), ["y"])
    collect_ranges(graph, SAMPLES)
    assert set(centering_offsets(graph, {"a0": 2.0, "a1": 1.5}).values()) == {1.0}
    assert centering_offsets(graph, {"a0": 2.0, "a1": 0.9}) == {}
    assert centering_offsets(graph, {"a0": 2.0}) == {}
    assert centering_offsets(graph, {"a0": 0.0, "a1": 0.0}) == {}
