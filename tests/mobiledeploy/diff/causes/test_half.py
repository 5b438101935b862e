"""What fp16 does, computed here by numpy's half precision; tests/mobiledeploy/diff/test_device.py has real kernels."""

from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.diff.causes import likely_cause
from mobiledeploy.diff.causes.half import fp16_overflow, fp16_precision, fp16_underflow, fp16_weights
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.half_precision import store_as_fp16
from ncnn_tools.runtime import Runtime


def halves(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(np.float16).astype(np.float32)


def test_values_beyond_the_largest_half(evidence, noise) -> None:
    values = 30_000 * noise(4, 8, 8)
    said = likely_cause(evidence(values, halves(values), halves=True)) or ""
    largest, beyond = np.abs(values).max(), np.count_nonzero(np.abs(values) > 65519)
    assert said == (
        f"fp16 overflow: the reference reaches {largest:.6g}, and fp16 ends at 65504; "
        f"{beyond} values are NaN or infinite"
    )


def test_a_mean_whose_sum_is_beyond(evidence, noise) -> None:
    values = 1000 + noise(4, 100)
    with np.errstate(over="ignore"):
        summed = np.cumsum(values, axis=1, dtype=np.float16)[:, -1:].astype(np.float32)
    said = likely_cause(evidence(values.mean(axis=1, keepdims=True), summed / 100, halves=True)) or ""
    assert said.startswith(
        "fp16 overflow inside the layer, in a sum or a transform: 4 values are NaN or infinite"
    )


def test_in_fp32_it_is_not_called_fp16(evidence) -> None:
    found = evidence(np.float32([1e5, 1]), np.float32([np.inf, 1]), halves=False)
    assert fp16_overflow(found) is None
    assert likely_cause(found) == "1 infinity among 2 values, where the reference is finite"


def test_large_values_that_cancel(evidence, noise) -> None:
    """a - b where both are near 2000: halves have steps of 1 there, and the difference is about 1."""
    a = 2000 + noise(8, 16, 16)
    b = 2000 + noise(8, 16, 16, seed=1)
    candidate = halves(a) - halves(b)
    said = likely_cause(evidence(a - b, candidate, inputs=(a, b), halves=True, tolerance=0.1)) or ""
    assert said.startswith("fp16 precision: values reach 200")
    assert "steps of 1;" in said


def test_an_error_far_beyond_rounding_is_not_of_precision(evidence, noise) -> None:
    reference = noise(8, 16, 16)
    assert fp16_precision(evidence(reference, noise(8, 16, 16, seed=1), halves=True)) is None


def test_values_below_the_smallest_half(evidence, noise) -> None:
    values = 1e-8 * noise(4, 8, 8)
    assert (likely_cause(evidence(values, halves(values), halves=True)) or "").startswith("fp16 underflow")


def test_weights_below_the_smallest_half(evidence, noise) -> None:
    """Stored as halves they lose bits also where the arithmetic is fp32."""
    layer = new_layer(
        "Convolution", "conv", ["x"], ["y"], num_output=8, kernel_w=1, weight_data_size=64, bias_term=1
    )
    layer.set_weight("weight", 1e-6 * noise(64))
    layer.set_weight("bias", noise(8))
    x = 1e6 * noise(8, 6, 6)
    graph = Graph([new_layer("Input", "x", [], ["x"], w=6, h=6, c=8), layer], ["y"])
    stored = store_as_fp16(graph)
    outputs = [Runtime.from_graph(which).run({"x": x})["y"] for which in (graph, stored)]
    said = likely_cause(evidence(*outputs, inputs=(x,), layer=stored.layers[1])) or ""
    assert said.startswith("fp16 weights: those of the layer are at most ")
    assert fp16_weights(evidence(*outputs, layer=layer)) is None


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_ordinary_values_do_not_underflow(evidence, noise, scale: float) -> None:
    values = scale * noise(4, 8, 8)
    assert fp16_underflow(evidence(values, halves(values), halves=True)) is None
