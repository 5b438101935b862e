"""Which layers are masked in networks that are built to break in fp16, and in one that is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.half_precision import ALL_FP32, HalfEmulation, HalfMask, apply_half_masks, find_half_masks
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import MASK_NO_FP16_ARITHMETIC

Make = Callable[..., Any]


def normal(*shape: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


SAMPLES = [{"x": normal(16, 12, 12, seed=seed)} for seed in (1, 2, 3)]


@pytest.fixture
def scaled(make_graph: Make, convolution: Make) -> Callable[[Sequence[float]], Graph]:
    """Make a chain of 3x3 convolutions with ReLUs, each of which makes values so many times larger."""

    def make(gains: Sequence[float]) -> Graph:
        layers = []
        for number, gain in enumerate(gains):
            source = f"b{number - 1}" if number else "x"
            weight = normal(16, 16, 3, 3, scale=gain * 144**-0.5, seed=number)
            layers.append(convolution(source, f"b{number}", weight, 1))
            layers[-1].set_weight("bias", np.zeros(16))
        graph: Graph = make_graph((16, 12, 12), layers, [f"b{len(gains) - 1}"])
        return graph

    return make


def bits(masks: Sequence[HalfMask]) -> dict[str, int]:
    return {mask.layer: mask.bits for mask in masks}


def worst_snr_db(graph: Graph) -> float:
    """Of the graph as a phone would run it, against fp32."""
    expected, emulation = Runtime.from_graph(graph), HalfEmulation(graph)
    worst = np.inf
    for sample in SAMPLES:
        for blob, values in emulation.outputs(sample).items():
            right = expected.run(sample, [blob])[blob]
            if not np.isfinite(values).all():
                return -np.inf
            noise = np.mean((values - right) ** 2, dtype=np.float64)
            worst = min(worst, -10 * np.log10(noise / np.mean(right**2, dtype=np.float64) + 1e-30))
    return float(worst)


def check_cured(graph: Graph, masks: Sequence[HalfMask]) -> None:
    assert worst_snr_db(graph) < 20
    assert worst_snr_db(apply_half_masks(graph, bits(masks))) > 20


def test_a_sound_network_has_none(scaled: Make) -> None:
    assert find_half_masks(scaled([1, 2, 1]), SAMPLES) == []


def test_layers_on_a_blob_beyond_fp16(scaled: Make) -> None:
    graph = scaled([1, 1e5, 1e-5, 1])
    masks = find_half_masks(graph, SAMPLES)
    assert bits(masks) == {"b1": ALL_FP32, "b2": ALL_FP32}
    assert masks[0].reason.startswith("blob 'b1' reaches ")
    check_cured(graph, masks)


def test_a_blob_that_other_inputs_may_push_beyond(scaled: Make) -> None:
    graph = scaled([1, 1, 1])
    largest = max(np.abs(Runtime.from_graph(graph).run(sample, ["b0"])["b0"]).max() for sample in SAMPLES)
    assert "b0" not in bits(find_half_masks(scaled([200 / largest, 1, 1]), SAMPLES))
    assert bits(find_half_masks(scaled([40_000 / largest, 1e-3, 1]), SAMPLES))["b0"] == ALL_FP32


def test_sums_that_overflow_inside_winograd(scaled: Make) -> None:
    graph = scaled([1500, 1e-3, 1])
    masks = find_half_masks(graph, SAMPLES)
    assert bits(masks) == {"b0": ALL_FP32, "b1": ALL_FP32}
    assert "its sums go beyond fp16" in masks[0].reason
    check_cured(graph, masks)


def test_a_product_adds_up_in_fp32_and_stays_in_fp16(make_graph: Make, convolution: Make) -> None:
    half = np.abs(normal(6, 8 * 144, scale=200))
    weight = np.concatenate([-half, half], axis=1)
    graph = make_graph((16, 12, 12), [convolution("x", "y", weight, kind="InnerProduct")], ["y"])
    masks = find_half_masks(graph, [{"x": 4 + 0.1 * sample["x"]} for sample in SAMPLES])
    assert bits(masks) == {"y": MASK_NO_FP16_ARITHMETIC}


def test_weights_beyond_fp16_and_values_below_it(scaled: Make) -> None:
    graph = scaled([1e-6, 1, 1e6])
    masks = find_half_masks(graph, SAMPLES)
    assert bits(masks) == dict.fromkeys(["b0", "b1", "b2"], ALL_FP32)
    assert "its weights reach" in masks[-1].reason
    assert "of the error of output 'b2'" in masks[0].reason
    check_cured(graph, masks)


@pytest.fixture
def difference(make_graph: Make, convolution: Make) -> Graph:
    """Two branches around 8000, where fp16 has steps of 4, and what they differ by."""
    weight = normal(8, 16, 1, 1, scale=0.1)
    layers = [new_layer("Split", "split", ["x"], ["x0", "x1"])]
    for number in (0, 1):
        other = weight + number * normal(8, 16, 1, 1, scale=0.1, seed=5)
        layers.append(convolution(f"x{number}", f"p{number}", other))
        layers[-1].set_weight("bias", np.full(8, 8000.0))
    layers.append(new_layer("BinaryOp", "minus", ["p0", "p1"], ["d"], op_type=1))
    layers.append(convolution("d", "y", normal(4, 8, 1, 1, scale=0.5, seed=6)))
    graph: Graph = make_graph((16, 12, 12), layers, ["y"])
    return graph


def test_large_values_that_cancel(difference: Graph) -> None:
    masks = find_half_masks(difference, SAMPLES)
    assert bits(masks) == dict.fromkeys(["p0", "p1", "minus"], ALL_FP32)
    check_cured(difference, masks)


def test_a_stricter_bound_asks_for_more(difference: Graph, scaled: Make) -> None:
    graph = scaled([1, 2, 1])
    assert worst_snr_db(graph) < 45
    masks = find_half_masks(graph, SAMPLES, min_snr_db=45)
    assert masks
    assert worst_snr_db(apply_half_masks(graph, bits(masks))) > 45
