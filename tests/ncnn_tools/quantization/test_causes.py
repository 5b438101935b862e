"""Where a layer's int8 error comes from: layers of which it is known, and the split against ncnn itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph
from ncnn_tools.quantization import QuantizeOptions, collect_input_statistics, error_sources, quantize
from ncnn_tools.runtime import Runtime

Make = Callable[..., Any]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


SAMPLES = [{"x": normal(8, 12, 12, seed=seed)} for seed in (10, 11, 12)]
LARGEST = max(float(np.abs(sample["x"]).max()) for sample in SAMPLES)


@pytest.fixture
def one_layer(make_graph: Make, convolution: Make) -> Callable[..., Graph]:
    def make(weight: np.ndarray, kind: str = "Convolution") -> Graph:
        shape = (8, 12, 12)
        return make_graph(shape, [convolution("x", "y", weight, kind=kind)], ["y"])

    return make


def sources(graph: Graph, threshold: float = LARGEST, samples: Any = SAMPLES):
    return error_sources(graph, quantize(graph, {"x": threshold}), samples)["y"]


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("Convolution", (5, 8, 3, 3)),
        ("ConvolutionDepthWise", (8, 1, 3, 3)),
        ("InnerProduct", (6, 8 * 144)),
    ],
)
def test_the_split_is_what_ncnn_computes_with_one_of_them_quantized(
    one_layer: Make, kind: str, shape: tuple[int, ...]
) -> None:
    graph = one_layer(normal(*shape), kind)
    quantized = quantize(graph, {"x": LARGEST})
    layer = quantized.layers[1]
    scale = 127 / LARGEST
    runtime = Runtime.from_graph(graph)
    rounded = graph.copy()
    scales = np.repeat(layer.weights["weight_scales"].values(), np.prod(shape[1:]))
    rounded.layers[1].set_weight("weight", layer.weights["weight"].values() / scales)
    of_input, of_weights = [], []
    for sample in SAMPLES:
        x = sample["x"]
        levels = np.sign(x) * np.floor(np.abs(x) * scale + 0.5) / scale
        expected = runtime.run(sample, ["y"])["y"]
        of_input.append(np.square(runtime.run({"x": levels}, ["y"])["y"] - expected).mean())
        of_weights.append(np.square(Runtime.from_graph(rounded).run(sample, ["y"])["y"] - expected).mean())
    share = np.mean(of_input) / (np.mean(of_input) + np.mean(of_weights))
    assert sources(graph).activation_share == pytest.approx(share, abs=0.02)
    assert 0.05 < share < 0.95


def test_an_outlier_in_one_channel_is_found(one_layer: Make) -> None:
    graph = one_layer(normal(5, 8, 3, 3))
    samples = [
        {"x": sample["x"] * np.where(np.arange(8) == 3, 100, 1)[:, None, None].astype("f4")}
        for sample in SAMPLES
    ]
    peak = max(float(np.abs(sample["x"]).max()) for sample in samples)
    found = sources(graph, peak, samples)
    assert found.peak_channel == 3
    assert found.channel_spread == pytest.approx(100, rel=0.3)
    assert found.peak == peak
    assert found.activation_share > 0.9
    plain = sources(graph)
    assert plain.channel_spread < 2
    assert plain.peak_to_rms == pytest.approx(LARGEST, rel=0.02)
    assert plain.steps == pytest.approx(127 / LARGEST, rel=0.02)


def test_clipping_is_told_from_rounding(one_layer: Make) -> None:
    graph = one_layer(normal(5, 8, 3, 3))
    assert sources(graph).clipped_share == 0
    assert sources(graph, threshold=1.0).clipped_share > 0.99


def test_an_outlier_among_the_weights_is_found(one_layer: Make) -> None:
    weight = normal(5, 8, 3, 3)
    weight[2, 0, 0, 0] = 100
    found = sources(one_layer(weight))
    assert found.weight_peak_to_rms == pytest.approx(np.sqrt(72), rel=0.01)
    assert found.activation_share < 0.2


def test_dead_channels_are_counted(one_layer: Make) -> None:
    weight = normal(5, 8, 3, 3)
    weight[[1, 4]] = 0
    samples = [{"x": sample["x"] * (np.arange(8) != 5)[:, None, None].astype("f4")} for sample in SAMPLES]
    found = sources(one_layer(weight), samples=samples)
    assert (found.dead_inputs, found.dead_outputs) == (1, 2)
    assert (sources(one_layer(normal(5, 8, 3, 3))).dead_inputs) == 0


def test_an_input_that_is_always_zero_has_no_error(one_layer: Make) -> None:
    found = sources(one_layer(normal(5, 8, 3, 3)), 0.0, [{"x": np.zeros((8, 12, 12), np.float32)}])
    assert (found.activation_share, found.clipped_share, found.peak_to_rms) == (0, 0, 0)
    assert found.dead_inputs == 8


def test_what_bias_correction_takes_off_is_left_out(one_layer: Make) -> None:
    """Four channels that are clipped by the same amount everywhere: all that this does to the output is a mean."""
    graph = one_layer(normal(5, 8, 1, 1))
    samples = [{"x": sample["x"].clip(-3, 3)} for sample in SAMPLES]
    for sample in samples:
        sample["x"][:4] = 5
    statistics = collect_input_statistics(graph, samples, {"x": 3.0}, moments=False)
    corrected = quantize(graph, {"x": 3.0}, QuantizeOptions(bias_correction=True), statistics)
    assert error_sources(graph, quantize(graph, {"x": 3.0}), samples)["y"].activation_share > 0.99
    assert error_sources(graph, corrected, samples)["y"].activation_share < 0.9


def test_another_graph_is_refused(one_layer: Make) -> None:
    graph = one_layer(normal(5, 8, 3, 3))
    other = graph.copy()
    other.layers[1].name = "z"
    with pytest.raises(GraphError, match="layer 'y' is another one"):
        error_sources(other, quantize(graph, {"x": LARGEST}), SAMPLES)
