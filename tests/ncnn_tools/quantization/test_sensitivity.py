"""What each layer's quantizing costs, on a network of which one layer is known to be bad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncnn_tools.graph import Graph
from ncnn_tools.quantization import layer_errors, noise_to_signal, quantize
from ncnn_tools.runtime import Runtime

Make = Callable[..., Any]

MEASURES = {"noise": noise_to_signal, "largest": lambda a, b: float(np.abs(a["y"] - b["y"]).max())}
OUTLIER = 200.0


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, shape).astype(np.float32)


SAMPLES = [{"x": 5 * normal(8, 10, 10, seed=seed)} for seed in (10, 11, 12)]


@pytest.fixture
def graph(make_graph: Make, convolution: Make) -> Graph:
    """Three convolutions; one channel of what the second reads is large, and it reads it with small weights."""
    first, second, third = normal(16, 8, 3, 3), normal(16, 16, 3, 3, seed=1), normal(4, 16, 1, 1, seed=2)
    first[3] *= OUTLIER
    second[:, 3] /= OUTLIER
    layers = [convolution("x", "a", first, 1), convolution("a", "b", second, 1), convolution("b", "y", third)]
    return make_graph((8, 10, 10), layers, ["y"])


@pytest.fixture
def quantized(graph: Graph) -> Graph:
    blobs = [{"x": sample["x"], **Runtime.from_graph(graph).run(sample, ["a", "b"])} for sample in SAMPLES]
    return quantize(
        graph, {name: float(max(np.abs(blob[name]).max() for blob in blobs)) for name in ("x", "a", "b")}
    )


def test_the_layer_that_reads_the_outlier_costs_most(graph: Graph, quantized: Graph) -> None:
    errors = layer_errors(graph, quantized, SAMPLES, MEASURES)
    assert list(errors) == ["a", "b", "y"]
    noise = {name: found["noise"] for name, found in errors.items()}
    assert noise["b"] > 100 * max(noise["a"], noise["y"])
    assert min(noise.values()) > 0


def test_each_is_the_mean_over_the_samples_of_that_layer_alone(graph: Graph, quantized: Graph) -> None:
    runtimes = [Runtime.from_graph(g) for g in (graph, quantize(graph, {"a": threshold_of(quantized, "b")}))]
    found = layer_errors(graph, quantized, SAMPLES, MEASURES, names=["b"], threads=1)
    expected = []
    for sample in SAMPLES:
        reference, outputs = (runtime.run(sample, ["y"])["y"] for runtime in runtimes)
        expected.append(
            (((outputs - reference) ** 2).sum() / (reference**2).sum(), np.abs(outputs - reference).max())
        )
    assert list(found) == ["b"]
    np.testing.assert_allclose(
        [found["b"]["noise"], found["b"]["largest"]], np.mean(expected, axis=0), rtol=1e-4
    )


def threshold_of(quantized: Graph, name: str) -> float:
    layer = next(layer for layer in quantized.layers if layer.name == name)
    return 127 / float(layer.weights["input_scale"].values()[0])


def test_progress_counts_the_trials_and_may_stop_them(graph: Graph, quantized: Graph) -> None:
    seen: list[tuple[int, int]] = []
    layer_errors(graph, quantized, SAMPLES[:1], MEASURES, progress=lambda *at: seen.append(at))
    assert seen == [(1, 3), (2, 3), (3, 3)]

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        layer_errors(graph, quantized, SAMPLES[:1], MEASURES, progress=stop)


def test_the_ratio_of_powers_is_the_mean_over_outputs() -> None:
    reference = {"a": np.array([3.0, 4.0], np.float32), "b": np.array([0.0, 0.0], np.float32)}
    outputs = {"a": np.array([3.0, 3.0], np.float32), "b": np.array([0.5, 0.5], np.float32)}
    assert noise_to_signal(outputs, reference) == pytest.approx((1 / 25 + 0.25) / 2)
    assert noise_to_signal(reference, reference) == 0


@given(seed=st.integers(0, 1000), size=st.floats(1e-4, 1e4), share=st.floats(1e-3, 1))
def test_the_ratio_knows_no_unit_and_errors_that_share_nothing_add_up(
    seed: int, size: float, share: float
) -> None:
    generator = np.random.default_rng(seed)
    reference, first, second = generator.normal(0, size, (3, 6)).astype(np.float32)
    first[3:], second[:3] = 0, 0
    alone = [noise_to_signal({"y": reference + share * error}, {"y": reference}) for error in (first, second)]
    both = noise_to_signal({"y": reference + share * (first + second)}, {"y": reference})
    assert both == pytest.approx(sum(alone), rel=1e-3, abs=1e-9)
    scaled = noise_to_signal({"y": 2 * (reference + share * (first + second))}, {"y": 2 * reference})
    assert scaled == pytest.approx(both, rel=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_infinitely_wrong(value: float) -> None:
    reference = {"a": np.array([3.0, 4.0], np.float32)}
    assert noise_to_signal({"a": np.array([3.0, value], np.float32)}, reference) == np.inf
