"""Bias correction and rounding by second moments: what each does for the output of real int8 layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph
from ncnn_tools.quantization import QuantizeOptions, collect_input_statistics, collect_ranges, quantize
from ncnn_tools.quantization.rounding import round_by_moments
from ncnn_tools.runtime import Runtime

Make = Callable[..., Any]


def correlated(number: int) -> dict[str, np.ndarray]:
    """A sample of 8 channels that resemble each other, none of mean zero."""
    generator = np.random.default_rng(number)
    common = generator.normal(0, 1, (1, 12, 12))
    values = common + 0.3 * generator.normal(0, 1, (8, 12, 12)) + np.linspace(-1, 2, 8)[:, None, None]
    return {"x": values.astype(np.float32)}


SAMPLES = [correlated(number) for number in range(6)]
UNSEEN = [correlated(number) for number in range(100, 104)]
THRESHOLDS = {"x": 3.0}  # clips some, so that the input's mean shifts


def outputs(graph: Graph, samples: list[dict[str, np.ndarray]] = UNSEEN) -> np.ndarray:
    runtime = Runtime.from_graph(graph)
    return np.stack([runtime.run(sample, ["y"])["y"] for sample in samples])


def layer_graph(make_graph: Make, convolution: Make, kind: str) -> Graph:
    shapes = {"Convolution": (6, 8, 3, 3), "ConvolutionDepthWise": (8, 1, 3, 3), "InnerProduct": (6, 8 * 144)}
    weight = np.random.default_rng(7).normal(0, 1, shapes[kind]).astype(np.float32)
    graph: Graph = make_graph((8, 12, 12), [convolution("x", "y", weight, kind=kind)], ["y"])
    return graph


KINDS = ["Convolution", "ConvolutionDepthWise", "InnerProduct"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_bias_correction_takes_the_mean_error_off(
    make_graph: Make, convolution: Make, kind: str, bias: bool
) -> None:
    graph = layer_graph(make_graph, convolution, kind)
    if not bias:
        graph.layers[1].set("bias_term", 0)
        del graph.layers[1].weights["bias"]
    statistics = collect_input_statistics(graph, SAMPLES, THRESHOLDS, moments=False)
    plain = quantize(graph, THRESHOLDS)
    corrected = quantize(graph, THRESHOLDS, QuantizeOptions(bias_correction=True), statistics)
    for samples, left in ((SAMPLES, 0.02), (UNSEEN, 0.4)):
        expected = outputs(graph, samples)
        axes = (0, *range(2, expected.ndim))
        plainly, corrected_to = (
            np.abs((outputs(each, samples) - expected).mean(axis=axes)).mean() for each in (plain, corrected)
        )
        if kind != "InnerProduct" or samples is SAMPLES:  # six samples tell little of 1152 means
            assert corrected_to < left * plainly


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_by_moments_makes_the_output_better(make_graph: Make, convolution: Make, kind: str) -> None:
    graph = layer_graph(make_graph, convolution, kind)
    thresholds = {"x": 6.0}  # nothing clipped: what is left of the error is that of rounding
    statistics = collect_input_statistics(graph, SAMPLES, thresholds)
    # A weight of 20 in each row makes the grid of all others coarse, so that their rounding is what counts.
    layer = graph.layers[1]
    rows = layer.weights["weight"].values().reshape(layer.get("num_output"), -1)
    rows[:, 0] = 20
    layer.set_weight("weight", rows)
    inputs_only, expected = quantize(graph, thresholds), outputs(graph)
    better = quantize(graph, thresholds, QuantizeOptions(rounding=True), statistics)
    errors = [np.square(outputs(each) - expected).mean() for each in (inputs_only, better)]
    assert errors[1] < (1 if kind == "ConvolutionDepthWise" else 0.95) * errors[0]


def test_moments_without_correlation_round_to_the_nearest() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (4, 30)).astype(np.float32)
    scales = np.full(4, 20, np.float32)
    nearest = np.rint(rows * 20)
    np.testing.assert_array_equal(round_by_moments(rows, scales, np.eye(30)), nearest)
    np.testing.assert_array_equal(round_by_moments(rows, scales, np.zeros((30, 30))), nearest)


def test_rounding_never_costs_more_than_the_nearest() -> None:
    generator = np.random.default_rng(0)
    for size in (1, 5, 200):
        rows = generator.normal(0, 1, (3, size)).astype(np.float32)
        inputs = generator.normal(0, 1, (300, max(1, size // 3))) @ generator.normal(
            0, 1, (max(1, size // 3), size)
        )
        scales = np.full(3, 15, np.float32)
        found = round_by_moments(rows, scales, inputs.T @ inputs)
        errors = [
            np.square(inputs @ (q / 15 - rows).T).sum(axis=0) for q in (found, np.rint(rows * np.float32(15)))
        ]
        assert (errors[0] <= errors[1] * (1 + 1e-4)).all()
        if size == 200:
            assert (errors[0] < 0.3 * errors[1]).all()


def test_without_statistics_the_methods_say_so(make_graph: Make, convolution: Make) -> None:
    graph = layer_graph(make_graph, convolution, "Convolution")
    with pytest.raises(GraphError, match=r"'y'.*statistics"):
        quantize(graph, THRESHOLDS, QuantizeOptions(bias_correction=True))


def test_layers_that_are_too_large_have_no_moments(
    make_graph: Make, convolution: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ncnn_tools.quantization.statistics._LARGEST_MATRIX", 71)
    graph = layer_graph(make_graph, convolution, "Convolution")
    statistics = collect_input_statistics(graph, SAMPLES, THRESHOLDS)
    assert statistics["y"].moments is None
    rounded = quantize(graph, THRESHOLDS, QuantizeOptions(rounding=True), statistics)
    assert rounded.layers == quantize(graph, THRESHOLDS).layers


def test_ranges_are_those_of_each_channel(make_graph: Make, convolution: Make) -> None:
    graph = layer_graph(make_graph, convolution, "Convolution")
    seen = collect_ranges(graph, SAMPLES)["x"]
    stacked = np.stack([sample["x"] for sample in SAMPLES])
    np.testing.assert_array_equal(seen.low, stacked.min(axis=(0, 2, 3)))
    np.testing.assert_array_equal(seen.high, stacked.max(axis=(0, 2, 3)))
    np.testing.assert_allclose(seen.power, np.square(stacked).mean(axis=(0, 2, 3)), rtol=1e-5)
    assert graph.shapes == {"x": (8, 12, 12), "y": (6, 12, 12)}
