"""int8 on this computer and on arm64 CPUs, with and without dotprod: different kernels, the same integers.

x86 runs 3x3 convolutions of stride 1 as winograd, a Cortex-A53 too (with other sizes), a Cortex-A76 by dot products.
"""

import numpy as np
import pytest

from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.quantization import (
    QuantizeOptions,
    center,
    centered_thresholds,
    centering_offsets,
    quantize,
)
from ncnn_tools.quantization.chains import gives_int8
from ncnn_tools.runtime import Runtime

# (type, kernel, stride, activation_type, activation_params): each reads the input and is read by a 1x1 convolution.
FIRSTS = [
    ("Convolution", 1, 1, 1, ()),
    ("Convolution", 3, 1, 0, ()),
    ("Convolution", 3, 1, 3, (0.0, 6.0)),
    ("Convolution", 3, 2, 2, (0.1,)),
    ("Convolution", 5, 1, 6, (1 / 6, 0.5)),
    ("ConvolutionDepthWise", 3, 1, 1, ()),
    ("ConvolutionDepthWise", 3, 2, 0, ()),
    ("ConvolutionDepthWise", 5, 1, 5, ()),
]
CHANNELS = (16, 12)  # packed by 8, and not
SIZE = 12


def convolution(random, name, source, target, outputs, inputs, kernel, **params):
    """A layer with random weights, whose outputs are about as large as its inputs."""
    shape = (outputs, inputs, kernel, kernel)
    weight = random.normal(0, (inputs * kernel * kernel) ** -0.5, shape)
    kind = "ConvolutionDepthWise" if "group" in params else "Convolution"
    sizes = {"num_output": outputs, "kernel_w": kernel, "weight_data_size": weight.size, "bias_term": 1}
    layer = new_layer(kind, name, [source], [target], **sizes, pad_left=kernel // 2, **params)
    layer.set_weight("weight", weight)
    layer.set_weight("bias", random.normal(0, 0.3, outputs))
    return layer


def network(channels):
    """Every case beside the others: x → Split → the case, int8 → a 1x1 convolution, and one as InnerProduct."""
    random = np.random.default_rng(channels)
    layers = [new_layer("Input", "x", [], ["x"], w=SIZE, h=SIZE, c=channels)]
    layers.append(new_layer("Split", "split", ["x"], [f"x{i}" for i in range(len(FIRSTS))]))
    for i, (kind, kernel, stride, activation, params) in enumerate(FIRSTS):
        depthwise = {"group": channels} if kind == "ConvolutionDepthWise" else {}
        fused = {"activation_type": activation, "activation_params": params}
        inputs = 1 if depthwise else channels
        first = convolution(
            random, f"f{i}", f"x{i}", f"a{i}", channels, inputs, kernel, stride_w=stride, **fused, **depthwise
        )
        layers += [first, convolution(random, f"l{i}", f"a{i}", f"y{i}", 5, channels, 1)]
    return Graph(layers, [f"y{i}" for i in range(len(FIRSTS))])


def chained(channels):
    """The network with int8 between each case and the layer that reads it, and an input for it."""
    thresholds = {f"{letter}{i}": 3.0 for letter in "xa" for i in range(len(FIRSTS))}
    graph = quantize(network(channels), thresholds, QuantizeOptions(chains=True))
    assert all(gives_int8(layer) for layer in graph.layers if layer.name.startswith("f"))
    x = np.random.default_rng(1).normal(0, 1, (channels, SIZE, SIZE)).astype(np.float32)
    return graph, x


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_x86_and_arm64_agree_within_one_quantum(run_emulated, cpu, channels):
    graph, x = chained(channels)
    blobs = [f"{letter}{i}" for letter in "ay" for i in range(len(FIRSTS))]
    there = run_emulated(graph, {"x": x}, blobs, cpu, fp16=False)
    here = Runtime.from_graph(graph).run({"x": x}, blobs)
    for i, case in enumerate(FIRSTS):
        levels = there[f"a{i}"] - here[f"a{i}"]
        assert np.abs(levels).max() <= 1, case
        assert (levels == 0).mean() > 0.98, case
        assert np.abs(here[f"a{i}"]).max() > 40, "the case should use the range"
        # The last layer adds up what its inputs differ by, and is exact beside that.
        last = next(layer for layer in graph.layers if layer.name == f"l{i}")
        weight = last.weights["weight"].data.reshape(5, -1).astype(np.float64)
        step = 1 / (last.weights["weight_scales"].data * last.weights["input_scale"].data)
        expected = here[f"y{i}"] + np.einsum("oc,chw->ohw", weight, levels) * step[:, None, None]
        assert np.abs(there[f"y{i}"] - expected).max() <= 1e-5 * np.abs(expected).max(), case


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_chains_are_right_in_fp16_mode(run_emulated, cpu, channels):
    # The input is rounded to fp16 before it is quantized, which moves some values by a level.
    graph, x = chained(channels)
    blobs = [f"y{i}" for i in range(len(FIRSTS))]
    there = run_emulated(graph, {"x": x}, blobs, cpu, fp16=True)
    here = Runtime.from_graph(graph).run({"x": x}, blobs)
    for blob, case in zip(blobs, FIRSTS, strict=True):
        largest = np.abs(here[blob]).max()
        difference = np.abs(there[blob] - here[blob])
        assert difference.max() < 0.05 * largest, case
        assert difference.mean() < 0.003 * largest, case


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_centered_inputs_are_padded_alike(run_emulated, cpu, channels):
    """What is padded with is 127 then, where it is zero else."""
    random = np.random.default_rng(channels)
    relu = {"activation_type": 1}
    layers = [
        new_layer("Input", "x", [], ["x"], w=SIZE, h=SIZE, c=channels),
        convolution(random, "first", "x", "a", channels, channels, 1, **relu),
        new_layer("Split", "split", ["a"], ["a0", "a1"]),
        convolution(random, "dense", "a0", "y0", 8, channels, 3, stride_w=2),
        convolution(random, "wide", "a1", "y1", channels, 1, 5, group=channels),
    ]
    graph = Graph(layers, ["y0", "y1"])
    x = random.uniform(-3, 3, (channels, SIZE, SIZE)).astype(np.float32)
    graph.shapes = {
        blob: value.shape for blob, value in Runtime.from_graph(graph).visit({"x": x}, graph.blobs())
    }
    thresholds = {"x": 3.0, "a0": 8.0, "a1": 8.0}
    offsets = centering_offsets(graph, thresholds)
    assert set(offsets) == {"a", "a0", "a1"}
    int8 = quantize(
        center(graph, offsets), centered_thresholds(thresholds, offsets), QuantizeOptions(chains=True)
    )
    exact = Runtime.from_graph(graph).run({"x": x}, graph.outputs)
    here = Runtime.from_graph(int8).run({"x": x}, graph.outputs)
    there = run_emulated(int8, {"x": x}, graph.outputs, cpu, fp16=False)
    for blob in graph.outputs:
        assert np.abs(here[blob] - exact[blob]).max() < 0.15, blob
        np.testing.assert_allclose(there[blob], here[blob], atol=0.03, err_msg=blob)
