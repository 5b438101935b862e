"""fp16 as it is emulated here, and as ncnn's kernels compute it on a Cortex-A76 under qemu."""

import numpy as np
import pytest

from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.half_precision import (
    ALL_FP32,
    HalfEmulation,
    apply_half_masks,
    find_half_masks,
    store_as_fp16,
)
from ncnn_tools.quantization import QuantizeOptions, quantize
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import FEATURE_MASK_ID, MASK_NO_FP16_ARITHMETIC

CPU = "cortex-a76"
SIZE = 18


def convolution(random, name, source, target, inputs, outputs, kernel, gain=1.0, **params):
    """A layer with random weights, which makes values so many times larger."""
    shape = (outputs, inputs // params.get("group", 1), kernel, kernel)
    weight = random.normal(0, gain * np.prod(shape[1:]) ** -0.5, shape)
    kind = "ConvolutionDepthWise" if "group" in params else "Convolution"
    sizes = {"num_output": outputs, "kernel_w": kernel, "weight_data_size": weight.size, "bias_term": 1}
    layer = new_layer(kind, name, [source], [target], **sizes, **{"pad_left": kernel // 2, **params})
    layer.set_weight("weight", weight)
    layer.set_weight("bias", random.normal(0, 0.3 * gain, outputs))
    return layer


def graph_of(layers, channels):
    first = new_layer("Input", "x", [], ["x"], w=SIZE, h=SIZE, c=channels)
    return Graph([first, *layers], [layers[-1].outputs[0]])


def error(actual, expected):
    """Root mean square of the difference, beside that of the values."""
    return np.sqrt(np.mean(np.square(actual - expected)) / np.mean(np.square(expected)))


# (inputs, outputs, kernel, parameters): each kernel that ncnn has for fp16 convolutions, in each packing.
CASES = [
    (8, 8, 1, {}),
    (64, 40, 1, {}),
    (12, 12, 1, {}),
    (5, 7, 1, {}),
    (3, 12, 3, {"stride_w": 2}),
    (8, 8, 3, {}),
    (12, 12, 3, {}),
    (5, 7, 3, {"activation_type": 1}),
    (24, 24, 3, {"stride_w": 2}),
    (32, 32, 3, {"dilation_w": 2, "pad_left": 2}),
    (24, 24, 5, {}),
    (16, 16, 3, {}),  # F(6,3)
    (64, 48, 3, {"activation_type": 2, "activation_params": (0.1,)}),
    (160, 160, 3, {}),  # F(4,3)
    (8, 160, 3, {}),  # F(2,3)
    (16, 16, 3, {"group": 16}),
    (12, 12, 3, {"group": 12, "stride_w": 2}),
    (16, 16, 5, {"group": 16, "activation_type": 4}),
    (24, 48, 1, {"group": 3}),
    (32, 64, 3, {"group": 2}),
]


@pytest.mark.parametrize(("inputs", "outputs", "kernel", "params"), CASES)
@pytest.mark.parametrize("positive", [False, True])
def test_the_emulated_error_of_a_layer_is_the_devices(
    run_emulated, inputs, outputs, kernel, params, positive
):
    """As a root mean square; single values differ, since sums are in another order. Most are within a tenth.

    Where neither side is packed (5 to 7 channels) the device adds up eight sums, which is more exact.
    """
    random = np.random.default_rng(0)
    graph = graph_of([convolution(random, "y", "x", "y", inputs, outputs, kernel, **params)], inputs)
    x = random.normal(0, 1, (inputs, SIZE, SIZE)).astype(np.float32)
    feeds = {"x": np.abs(x) if positive else x}
    expected = Runtime.from_graph(graph).run(feeds)["y"]
    there = error(run_emulated(graph, feeds, ["y"], CPU, fp16=True)["y"], expected)
    here = error(HalfEmulation(graph).outputs(feeds)["y"], expected)
    assert 0.7 < here / there < 1.7


@pytest.mark.parametrize("outputs", [16, 5])
@pytest.mark.parametrize("shape", [{"w": 100}, {"c": 16, "h": 12, "w": 12}, {"h": 8, "w": 64}])
def test_the_same_of_a_product(run_emulated, shape, outputs):
    random = np.random.default_rng(5)
    depth = shape["w"] if "c" not in shape else np.prod(list(shape.values()))
    weight = random.normal(0, depth**-0.5, (outputs, depth))
    layer = new_layer("InnerProduct", "y", ["x"], ["y"], num_output=outputs, weight_data_size=weight.size)
    layer.set_weight("weight", weight)
    graph = Graph([new_layer("Input", "x", [], ["x"], **shape), layer], ["y"])
    feeds = {"x": random.normal(0, 1, list(shape.values())).astype(np.float32)}
    expected = Runtime.from_graph(graph).run(feeds)["y"]
    there = error(run_emulated(graph, feeds, ["y"], CPU, fp16=True)["y"], expected)
    assert 0.6 < error(HalfEmulation(graph).outputs(feeds)["y"], expected) / there < 1.7


@pytest.mark.parametrize("gains", [(1, 1e5, 1, 1e-5, 1), (2000, 1e-3, 1), (1e-6, 1, 1e6)])
@pytest.mark.parametrize("channels", [16, 12, 5])
def test_a_network_that_fp16_breaks_is_right_with_masks(run_emulated, gains, channels):
    """By values beyond 65504, by winograd's sums (of 12 channels or more: 5 have none), by values below 6e-8."""
    random = np.random.default_rng(1)
    layers = [
        convolution(random, f"y{i}", f"y{i - 1}" if i else "x", f"y{i}", channels, channels, 3, gain)
        for i, gain in enumerate(gains)
    ]
    graph = graph_of(layers, channels)
    blob = graph.outputs[0]
    feeds = {"x": random.normal(0, 1, (channels, SIZE, SIZE)).astype(np.float32)}
    expected = Runtime.from_graph(graph).run(feeds)[blob]
    masks = {mask.layer: mask.bits for mask in find_half_masks(graph, [feeds])}
    plain = run_emulated(store_as_fp16(graph), feeds, [blob], CPU, fp16=True)[blob]
    emulated = HalfEmulation(graph).outputs(feeds)[blob]
    assert np.isfinite(plain).all() == np.isfinite(emulated).all() == (not masks)
    masked = apply_half_masks(graph, masks)
    found = run_emulated(store_as_fp16(masked), feeds, [blob], CPU, fp16=True)[blob]
    there = error(found, expected)
    assert there < 0.03
    here = error(HalfEmulation(masked).outputs(feeds)[blob], expected)
    assert max(here, there) < 1e-5 or 0.7 < here / there < 1.7


def test_a_product_whose_sums_overflow(run_emulated):
    random = np.random.default_rng(4)
    half = np.abs(random.normal(0, 200, (16, 4 * SIZE * SIZE)))
    weight = np.concatenate([-half, half], axis=1)
    sizes = {"num_output": len(weight), "weight_data_size": weight.size}
    layer = new_layer("InnerProduct", "y", ["x"], ["y"], **sizes)
    layer.set_weight("weight", weight)
    graph = graph_of([layer], 8)
    feeds = {"x": random.normal(4, 0.1, (8, SIZE, SIZE)).astype(np.float32)}
    expected = Runtime.from_graph(graph).run(feeds)["y"]
    masks = {mask.layer: mask.bits for mask in find_half_masks(graph, [feeds])}
    assert masks == {"y": MASK_NO_FP16_ARITHMETIC}
    assert not np.isfinite(run_emulated(store_as_fp16(graph), feeds, ["y"], CPU, fp16=True)["y"]).all()
    masked = store_as_fp16(apply_half_masks(graph, masks))
    assert error(run_emulated(masked, feeds, ["y"], CPU, fp16=True)["y"], expected) < 0.05


def test_why_a_dropout_stands_before_a_masked_layer(run_emulated):
    """Without it ncnn hands the layer an fp16 blob, which it reads as fp32. This tells when that changes."""
    random = np.random.default_rng(2)
    layers = [convolution(random, name, source, name, 8, 8, 1) for source, name in ("xa", "ay")]
    graph = graph_of(layers, 8)
    feeds = {"x": random.normal(0, 1, (8, SIZE, SIZE)).astype(np.float32)}
    expected = Runtime.from_graph(graph).run(feeds)["y"]
    cured = apply_half_masks(graph, {"y": ALL_FP32})
    assert [layer.type for layer in cured.layers] == ["Input", "Convolution", "Dropout", "Convolution"]
    assert error(run_emulated(cured, feeds, ["y"], CPU, fp16=True)["y"], expected) < 0.002
    layers[1].params[FEATURE_MASK_ID] = ALL_FP32
    found = run_emulated(graph, feeds, ["y"], CPU, fp16=True)["y"]
    assert not np.isfinite(found).all() or error(found, expected) > 0.5
    layers[1].params[FEATURE_MASK_ID] = MASK_NO_FP16_ARITHMETIC
    assert error(run_emulated(graph, feeds, ["y"], CPU, fp16=True)["y"], expected) < 0.002


@pytest.mark.parametrize("chains", [False, True])
@pytest.mark.parametrize("kernel", [1, 3])
def test_int8_layers_give_fp16_too(run_emulated, kernel, chains):
    """Their sums are integers, but what they give is fp16, unless it is int8."""
    random = np.random.default_rng(3)
    layers = [
        convolution(random, f"y{i}", f"y{i - 1}" if i else "x", f"y{i}", 16, 16, kernel, gain)
        for i, gain in enumerate((1, 1e5, 1, 1e-5, 1))
    ]
    graph = graph_of(layers, 16)
    feeds = {"x": random.normal(0, 1, (16, SIZE, SIZE)).astype(np.float32)}
    masks = {mask.layer: mask.bits for mask in find_half_masks(graph, [feeds])}
    assert masks == dict.fromkeys(["y1", "y2", "y3"], ALL_FP32)
    blobs = Runtime.from_graph(graph).run(feeds, [layer.inputs[0] for layer in layers])
    thresholds = {blob: float(np.abs(values).max()) for blob, values in blobs.items()}
    quantized = quantize(graph, thresholds, QuantizeOptions(chains=chains))
    expected = Runtime.from_graph(quantized).run(feeds)["y4"]
    plain = run_emulated(store_as_fp16(quantized), feeds, ["y4"], CPU, fp16=True)["y4"]
    assert (error(plain, expected) < 0.05) == chains
    masked = store_as_fp16(apply_half_masks(quantized, masks))
    assert error(run_emulated(masked, feeds, ["y4"], CPU, fp16=True)["y4"], expected) < 0.05
