from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.mixed.stock import make_stock, thresholds_behind_moves, uniform_int8
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.mixed import FLOAT16, mix
from ncnn_tools.quantization import QuantizeOptions, collect_input_statistics, quantize
from ncnn_tools.quantization.layers import is_int8


@pytest.mark.parametrize(
    "options",
    [QuantizeOptions(), QuantizeOptions(bias_correction=True, chains=True), QuantizeOptions(rounding=True)],
)
def test_the_uniform_mix_is_the_int8_variant(graph: Graph, options: QuantizeOptions) -> None:
    rng = np.random.default_rng(0)
    samples = [{"x": rng.normal(0, 1, (8, 6, 6)).astype(np.float32)} for _ in range(3)]
    thresholds = {blob: 3.0 for layer in graph.layers for blob in layer.inputs}
    stock = make_stock(graph, thresholds, options, samples)
    mixed = mix(stock, uniform_int8(stock), chains=options.chains)
    seen = collect_input_statistics(graph, samples, thresholds, moments=options.rounding)
    whole = quantize(graph, thresholds, options, seen)
    assert {name for name, choice in uniform_int8(stock).items() if choice != FLOAT16} == {
        layer.name for layer in whole.layers if is_int8(layer)
    }
    for found, expected in zip(mixed.layers, whole.layers, strict=True):
        assert (found.name, found.params) == (expected.name, expected.params)
        for name, weight in expected.weights.items():
            # Statistics differ in their last digit from one run to another, and with them what is rounded by them.
            step = 1 if name == "weight" else 1e-3
            np.testing.assert_allclose(found.weights[name].values(), weight.values(), rtol=1e-3, atol=step)


def test_padding_and_slicing_change_no_threshold() -> None:
    graph = Graph(
        [
            new_layer("Input", "x", [], ["x"], w=4, h=4, c=3),
            new_layer("Padding", "pad", ["x"], ["padded"], front=0, behind=1),
            new_layer("ReLU", "relu", ["padded"], ["y"]),
            new_layer("Slice", "slice", ["y"], ["s0", "s1"], slices=(2, 2), axis=0),
            new_layer("Concat", "join", ["s1", "s0"], ["z"]),
        ],
        ["z"],
    )
    assert thresholds_behind_moves(graph, {"x": 2.5}) == {"x": 2.5, "padded": 2.5}
    given = {"x": 2.5, "padded": np.float32(1.0), "y": 0.5, "s1": 0.25}
    assert thresholds_behind_moves(graph, given) == {**given, "s0": 0.5}
