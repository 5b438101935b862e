"""int8 layers made by `ncnn_tools.quantization` and run by ncnn, with ranges that don't fit."""

from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.diff.causes import likely_cause
from mobiledeploy.diff.causes.integer import int8_range, int8_rounding
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.quantization import quantize
from ncnn_tools.runtime import Runtime


@pytest.fixture
def convolution(evidence, noise):
    """Evidence of a convolution whose input `x` is quantized with a threshold."""

    def make(x: np.ndarray, threshold: float):
        layer = new_layer(
            "Convolution", "conv", ["x"], ["y"], num_output=8, kernel_w=1, weight_data_size=64, bias_term=0
        )
        layer.set_weight("weight", noise(8, 8, seed=1))
        _, height, width = x.shape
        graph = Graph([new_layer("Input", "x", [], ["x"], w=width, h=height, c=8), layer], ["y"])
        int8 = quantize(graph, {"x": threshold})
        outputs = [Runtime.from_graph(which).run({"x": x})["y"] for which in (graph, int8)]
        return evidence(*outputs, inputs=(x,), layer=int8.layers[1], tolerance=0.3)

    return make


def test_a_range_that_is_too_small_clips(convolution, noise) -> None:
    x = noise(8, 20, 20)
    found = convolution(x, 1.0)
    share = np.count_nonzero(np.abs(x) > 1) / x.size
    assert likely_cause(found) == (
        f"int8 range: the layer's input reaches {np.abs(x).max():.4g}, its scale holds 1; "
        f"{share:.2%} of the values are clipped"
    )


def test_a_range_that_is_too_large_leaves_few_steps(convolution, noise) -> None:
    found = convolution(noise(8, 20, 20), 127.0)
    assert (likely_cause(found) or "").startswith(
        "int8 resolution: the layer's input is 1.0 steps in the mean"
    )


def test_a_fitting_range_leaves_rounding(convolution, noise) -> None:
    x = noise(8, 20, 20)
    said = likely_cause(convolution(x, float(np.abs(x).max()))) or ""
    assert said.startswith("int8 rounding: little or nothing is clipped")


def test_one_value_beyond_by_a_little_is_not_the_cause(convolution, noise) -> None:
    x = noise(8, 20, 20)
    assert int8_range(convolution(x, 0.99 * float(np.abs(x).max()))) is None


def test_a_float_layer_has_no_range(evidence, noise) -> None:
    layer = new_layer("ReLU", "relu", ["x"], ["y"])
    found = evidence(noise(4, 4), noise(4, 4, seed=1), inputs=(noise(4, 4),), layer=layer)
    assert int8_range(found) is None
    assert int8_rounding(found) is None
