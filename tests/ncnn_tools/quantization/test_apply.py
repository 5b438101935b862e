"""int8: each quantized layer against the same arithmetic in numpy, and the cases that ncnn gets wrong kept out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ncnn_tools.files import load, save
from ncnn_tools.graph import Graph, Layer, Storage, new_layer
from ncnn_tools.quantization import quantizable_layers, quantize, round_half_away
from ncnn_tools.runtime import Runtime, RuntimeOptions
from ncnn_tools.schema import MASK_NO_WINOGRAD

Make = Callable[..., Graph]

ACTIVATIONS: dict[int, tuple[tuple[float, ...], Callable[[np.ndarray], np.ndarray]]] = {
    0: ((), lambda x: x),
    1: ((), lambda x: np.maximum(x, 0)),
    2: ((0.25,), lambda x: np.where(x > 0, x, 0.25 * x)),
    3: ((-1.0, 2.0), lambda x: np.clip(x, -1, 2)),
    4: ((), lambda x: 1 / (1 + np.exp(-x))),
    5: ((), lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    6: ((1 / 6, 0.5), lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
}


def weighted(kind: str, weight: np.ndarray, bias: bool, activation: int, **params: Any) -> Layer:
    """Make a layer "y" that reads "x", with this weight (outputs first) and a random bias."""
    layer = new_layer(
        kind,
        "y",
        ["x"],
        ["y"],
        num_output=len(weight),
        weight_data_size=weight.size,
        bias_term=int(bias),
        activation_type=activation,
        activation_params=ACTIVATIONS[activation][0],
        **params,
    )
    layer.set_weight("weight", weight)
    if bias:
        layer.set_weight("bias", np.random.default_rng(5).normal(0, 1, len(weight)))
    return layer


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def quantized_values(values: np.ndarray, scales: np.ndarray | float) -> np.ndarray:
    """float32 → int8 levels, as integers: half away from zero, clamped to ±127."""
    scaled = (values * scales).astype(np.float32)
    return np.clip(np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5)), -127, 127).astype(np.int64)


def convolve(x: np.ndarray, weight: np.ndarray, stride: int, dilation: int, group: int) -> np.ndarray:
    """Correlate (channels, h, w) with (outputs, channels/group, k, k) in whole numbers, without padding."""
    span = (weight.shape[2] - 1) * dilation + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, (span, span), (1, 2))[:, ::stride, ::stride]
    windows = windows[..., ::dilation, ::dilation]
    parts = zip(np.split(windows, group), np.split(weight, group), strict=True)
    return np.concatenate([np.einsum("chwij,ocij->ohw", window, part) for window, part in parts])


def dequantized(
    sums: np.ndarray, layer: Layer, input_scale: np.float32, weight_scales: np.ndarray
) -> np.ndarray:
    """Give an int8 layer's result from its whole-number sums, channels first."""
    shape = (-1, *(1 for _ in sums.shape[1:]))
    result = sums.astype(np.float32) / (input_scale * weight_scales).reshape(shape)
    if "bias" in layer.weights:
        result = result + layer.weights["bias"].data.reshape(shape)
    return ACTIVATIONS[layer.get("activation_type")][1](result)


def absmax_scales(values: np.ndarray) -> np.ndarray:
    return np.float32(127) / np.abs(values).reshape(len(values), -1).max(axis=1)


def run(graph: Graph, x: np.ndarray, options: RuntimeOptions | None = None) -> np.ndarray:
    return Runtime.from_graph(graph, options).run({"x": x}, ["y"])["y"]


@given(
    channels=st.sampled_from([(1, 1), (3, 4), (4, 8), (8, 16), (13, 5), (16, 16)]),
    window=st.sampled_from([(1, 1, 1), (1, 2, 1), (3, 1, 1), (3, 2, 1), (3, 1, 2), (5, 1, 1)]),
    bias=st.booleans(),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    size=st.integers(6, 11),
)
def test_convolution(
    make_graph: Make,
    channels: tuple[int, int],
    window: tuple[int, int, int],
    bias: bool,
    activation: int,
    size: int,
) -> None:
    (inputs, outputs), (kernel, stride, dilation) = channels, window
    weight, x = normal(outputs, inputs, kernel, kernel), normal(inputs, size, size, seed=1)
    layer = weighted(
        "Convolution", weight, bias, activation, kernel_w=kernel, stride_w=stride, dilation_w=dilation
    )
    threshold = 0.8 * float(np.abs(x).max())
    graph = quantize(make_graph(x.shape, [layer], ["y"]), {"x": threshold})
    input_scale, scales = np.float32(127) / np.float32(threshold), absmax_scales(weight)
    levels = quantized_values(weight, scales[:, None, None, None])
    sums = convolve(quantized_values(x, input_scale), levels, stride, dilation, group=1)
    expected = dequantized(sums, layer, input_scale, scales)
    np.testing.assert_allclose(run(graph, x), expected, rtol=1e-4, atol=1e-4)


@given(
    channels=st.sampled_from([1, 3, 4, 8, 13, 16]),
    window=st.sampled_from([(3, 1), (3, 2), (5, 1), (1, 1)]),
    bias=st.booleans(),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
)
def test_depthwise_convolution(
    make_graph: Make, channels: int, window: tuple[int, int], bias: bool, activation: int
) -> None:
    kernel, stride = window
    weight, x = normal(channels, 1, kernel, kernel), normal(channels, 9, 8, seed=1)
    layer = weighted(
        "ConvolutionDepthWise", weight, bias, activation, kernel_w=kernel, stride_w=stride, group=channels
    )
    graph = quantize(make_graph(x.shape, [layer], ["y"]), {"x": 2.5})
    input_scale, scales = np.float32(127) / np.float32(2.5), absmax_scales(weight)
    levels = quantized_values(weight, scales[:, None, None, None])
    sums = convolve(quantized_values(x, input_scale), levels, stride, 1, group=channels)
    expected = dequantized(sums, layer, input_scale, scales)
    # On x86 ncnn divides by approximate reciprocals here (_mm_rcp_ps, 12 bits).
    np.testing.assert_allclose(run(graph, x), expected, rtol=4e-4, atol=4e-4)


@given(
    sizes=st.sampled_from([(1, 1), (7, 4), (16, 8), (33, 5), (64, 16)]),
    rows=st.none() | st.integers(1, 5),
    bias=st.booleans(),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
)
def test_inner_product(
    make_graph: Make, sizes: tuple[int, int], rows: int | None, bias: bool, activation: int
) -> None:
    depth, outputs = sizes
    weight = normal(outputs, depth)
    x = normal(depth, seed=1) if rows is None else normal(rows, depth, seed=1)
    layer = weighted("InnerProduct", weight, bias, activation)
    graph = quantize(make_graph(x.shape, [layer], ["y"]), {"x": 2.0})
    input_scale, scales = np.float32(127) / np.float32(2.0), absmax_scales(weight)
    sums = quantized_values(weight, scales[:, None]) @ quantized_values(x, input_scale).T
    expected = dequantized(sums, layer, input_scale, scales).T
    np.testing.assert_allclose(run(graph, x), expected, rtol=1e-4, atol=1e-4)


@given(values=arrays.arrays(np.float32, 16, elements=st.floats(-200, 200, width=32)))
def test_rounding_is_ncnns(make_graph: Make, values: np.ndarray) -> None:
    rounder = new_layer("Quantize", "y", ["x"], ["y"])
    rounder.set_weight("scale", [1.0])
    np.testing.assert_array_equal(
        run(make_graph((16,), [rounder], ["y"]), values), round_half_away(values).astype(np.float32)
    )


def test_rounding_of_halves() -> None:
    values = np.array([0.5, -0.5, 1.5, 2.5, -2.5, 126.5, 127.5, -1000, 0.49, -0.0], np.float32)
    assert round_half_away(values).tolist() == [1, -1, 2, 3, -3, 127, 127, -127, 0, 0]


def test_what_is_stored() -> None:
    layer = weighted("Convolution", normal(4, 3, 3, 3), True, 0, kernel_w=3)
    result = quantize(Graph([new_layer("Input", "x", [], ["x"], w=8, h=8, c=3), layer], ["y"]), {"x": 4.0})
    stored = result.layers[1]
    assert list(stored.weights) == ["weight", "bias", "weight_scales", "input_scale"]
    assert stored.weights["weight"].storage is Storage.INT8
    assert np.abs(stored.weights["weight"].data).reshape(4, -1).max(axis=1).tolist() == [127] * 4
    assert stored.weights["input_scale"].data.tolist() == [127 / 4]
    assert stored.get("int8_scale_term") == 2
    assert layer.weights["weight"].storage is Storage.FP32, "the graph that was given is left alone"
    assert not layer.get("int8_scale_term")


def test_a_layer_without_a_threshold_stays_as_it_is() -> None:
    layer = weighted("Convolution", normal(4, 3, 1, 1), False, 0, kernel_w=1)
    graph = Graph([new_layer("Input", "x", [], ["x"], w=8, h=8, c=3), layer], ["y"])
    assert quantize(graph, {"other": 1.0}).layers == graph.layers


def test_a_quantized_graph_is_not_quantized_again() -> None:
    layer = weighted("Convolution", normal(4, 3, 1, 1), False, 0, kernel_w=1)
    graph = Graph([new_layer("Input", "x", [], ["x"], w=8, h=8, c=3), layer], ["y"])
    once = quantize(graph, {"x": 1.0})
    assert quantizable_layers(once) == []
    assert quantize(once, {"x": 2.0}).layers == once.layers


@pytest.mark.parametrize(
    ("group", "inputs", "outputs", "quantizable"),
    [(8, 8, 8, True), (1, 1, 1, True), (2, 8, 8, False), (4, 4, 8, False), (4, 8, 4, False)],
)
def test_only_plain_depthwise_groups_are_quantized(
    group: int, inputs: int, outputs: int, quantizable: bool
) -> None:
    layer = weighted(
        "ConvolutionDepthWise", normal(outputs, inputs // group, 3, 3), True, 0, kernel_w=3, group=group
    )
    graph = Graph([new_layer("Input", "x", [], ["x"], w=8, h=8, c=inputs), layer], ["y"])
    assert bool(quantizable_layers(graph)) == quantizable
    assert (quantize(graph, {"x": 1.0}).layers == graph.layers) != quantizable


def test_dynamic_weights_and_other_layers_are_left_alone() -> None:
    dynamic = new_layer("Convolution", "c", ["x", "w"], ["y"], num_output=4, kernel_w=3, dynamic_weight=1)
    other = weighted("Deconvolution", normal(4, 3, 3, 3), False, 0, kernel_w=3)
    assert quantizable_layers(Graph([dynamic, other])) == []


def finite_scales(layer: Layer) -> bool:
    scales = [layer.weights[name].data for name in ("weight_scales", "input_scale")]
    return all(np.isfinite(values).all() and (values > 0).all() for values in scales)


def test_dead_and_tiny_channels_give_finite_scales(make_graph: Make) -> None:
    weight = normal(4, 3, 3, 3)
    weight[1] = 0
    weight[2] = 1e-42
    layer = weighted("Convolution", weight, True, 0, kernel_w=3)
    x = normal(3, 8, 8, seed=1)
    result = quantize(make_graph(x.shape, [layer], ["y"]), {"x": 3.0})
    assert finite_scales(result.layers[1])
    y = run(result, x)
    bias = layer.weights["bias"].data
    np.testing.assert_allclose(y[1:3], np.broadcast_to(bias[1:3, None, None], y[1:3].shape), rtol=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 1e-45])
def test_an_input_that_is_always_zero_gives_the_bias(make_graph: Make, threshold: float) -> None:
    layer = weighted("InnerProduct", normal(4, 8), True, 0)
    result = quantize(make_graph((8,), [layer], ["y"]), {"x": threshold})
    assert finite_scales(result.layers[1])
    np.testing.assert_allclose(run(result, np.zeros(8, np.float32)), layer.weights["bias"].data, rtol=1e-6)


LIMIT = 2**31 / 576
FIRST_UNSAFE = math.ceil(LIMIT / (127 * 127 * 9))  # input channels, with every value at ±127


def saturated(channels: int, **params: Any) -> Layer:
    """A 3x3 convolution whose weights all become ±127."""
    signs = np.sign(normal(16, channels, 3, 3))
    return weighted("Convolution", signs, False, 0, **{"kernel_w": 3, **params})


@pytest.mark.parametrize(
    ("channels", "params", "masked"),
    [
        (FIRST_UNSAFE, {}, True),
        (FIRST_UNSAFE - 1, {}, False),
        (64, {"stride_w": 2}, False),
        (64, {"dilation_w": 2}, False),
        (64, {"stride_w": 1, "stride_h": 2}, False),
    ],
)
def test_winograd_is_masked_where_its_accumulators_could_overflow(
    channels: int, params: dict[str, Any], masked: bool
) -> None:
    layer = saturated(channels, **params)
    graph = Graph([new_layer("Input", "x", [], ["x"], w=8, h=8, c=channels), layer], ["y"])
    mask = quantize(graph, {"x": 1.0}).layers[1].feature_mask
    assert mask == (MASK_NO_WINOGRAD if masked else 0)


def test_other_masks_are_kept() -> None:
    layer = saturated(64)
    layer.params[31] = 2
    graph = Graph([new_layer("Input", "x", [], ["x"], w=8, h=8, c=64), layer], ["y"])
    assert quantize(graph, {"x": 1.0}).layers[1].feature_mask == 2 | MASK_NO_WINOGRAD


def test_the_masked_layer_is_right_where_winograd_overflows(make_graph: Make) -> None:
    layer = saturated(128)
    graph = quantize(make_graph((128, 12, 12), [layer], ["y"]), {"x": 1.0})
    weight = layer.weights["weight"].data.reshape(16, 128, 3, 3)
    x = np.ascontiguousarray(
        np.tile(weight[0], (1, 4, 4))
    )  # meets the first channel's signs every third step
    expected = convolve(x.astype(np.int64), weight.astype(np.int64), 1, 1, 1)
    np.testing.assert_allclose(run(graph, x), expected, rtol=1e-5, atol=1e-2)
    del graph.layers[1].params[31]
    assert np.abs(run(graph, x) - expected).max() > 100, "this case should need the mask"


def test_a_quantized_model_survives_its_files(make_graph: Make, tmp_path: Any) -> None:
    x = normal(8, 9, 9, seed=1)
    layer = weighted("Convolution", normal(16, 8, 3, 3), True, 1, kernel_w=3)
    graph = quantize(make_graph(x.shape, [layer], ["y"]), {"x": 3.0})
    save(graph, tmp_path / "m.param", tmp_path / "m.bin")
    np.testing.assert_array_equal(run(load(tmp_path / "m.param", tmp_path / "m.bin"), x), run(graph, x))
