"""Grouped convolutions taken apart compute what they did, by ncnn itself; and then they can be int8."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.grouped import grouped_layers, take_groups_apart
from ncnn_tools.quantization import QuantizeOptions, noise_to_signal, quantize
from ncnn_tools.quantization.layers import is_int8
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import Activation

SIZE = 9


def convolution(groups: int, inputs: int, outputs: int, *, bias: bool = True, **params: int) -> Layer:
    """Make a layer whose groups read and give so many channels each."""
    kernel = params.setdefault("kernel_w", 1)
    weight = np.random.default_rng(groups).normal(0, 0.3, (groups * outputs, inputs, kernel, kernel))
    layer = new_layer(
        "ConvolutionDepthWise",
        "grouped",
        ["x"],
        ["y"],
        num_output=groups * outputs,
        group=groups,
        bias_term=int(bias),
        weight_data_size=weight.size,
        **params,
    )
    layer.set_weight("weight", weight)
    if bias:
        layer.set_weight("bias", np.linspace(-1, 1, groups * outputs))
    return layer


def graph_of(layer: Layer, channels: int) -> Graph:
    layers = [new_layer("Input", "x", [], ["x"], w=SIZE, h=SIZE, c=channels), layer]
    graph = Graph([*layers, new_layer("ReLU", "after", ["y"], ["z"])], ["z"], {"y": "tensor"})
    x = np.zeros((channels, SIZE, SIZE), np.float32)
    found = Runtime.from_graph(graph).run({"x": x}, graph.blobs())
    graph.shapes = {blob: values.shape for blob, values in found.items()}
    return graph


def samples(channels: int, count: int = 1) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(channels)
    return [{"x": rng.normal(0, 1, (channels, SIZE, SIZE)).astype(np.float32)} for _ in range(count)]


@given(
    groups=st.integers(2, 5),
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 9),
    kernel=st.sampled_from([1, 3]),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    pad=st.integers(0, 2),
    bias=st.booleans(),
    activation=st.sampled_from(
        [0, int(Activation.RELU), int(Activation.SIGMOID), int(Activation.HARD_SWISH)]
    ),
)
def test_it_computes_the_same(
    groups: int,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    dilation: int,
    pad: int,
    bias: bool,
    activation: int,
) -> None:
    if inputs == outputs == 1:
        outputs = 2  # else it is depthwise
    layer = convolution(
        groups,
        inputs,
        outputs,
        bias=bias,
        kernel_w=kernel,
        stride_w=stride,
        dilation_w=dilation,
        pad_left=pad,
        activation_type=activation,
    )
    if activation == Activation.HARD_SWISH:
        layer.set("activation_params", (1 / 6, 0.5))
    graph = graph_of(layer, groups * inputs)
    apart, parts = take_groups_apart(graph, ["grouped"])
    (sample,) = samples(groups * inputs)
    found = Runtime.from_graph(apart).run(sample, apart.blobs())
    expected = Runtime.from_graph(graph).run(sample, graph.blobs())
    for blob in ("y", "z"):
        np.testing.assert_allclose(found[blob], expected[blob], rtol=1e-4, atol=1e-4)
    assert {blob: values.shape for blob, values in found.items()} == apart.shapes
    assert apart.origins == graph.origins
    assert len(parts["grouped"]) == groups + 2
    assert set(parts["grouped"]) == {layer.name for layer in apart.layers} - {"x", "after"}


@pytest.mark.parametrize(("groups", "inputs", "outputs"), [(2, 16, 16), (3, 20, 8), (4, 12, 24)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_apart_they_can_be_int8(groups: int, inputs: int, outputs: int, kernel: int) -> None:
    layer = convolution(groups, inputs, outputs, kernel_w=kernel, pad_left=kernel // 2)
    graph = graph_of(layer, groups * inputs)
    apart, _ = take_groups_apart(graph, ["grouped"])
    thresholds = {blob: 3.5 for layer in apart.layers for blob in layer.inputs}
    quantized = quantize(apart, thresholds, QuantizeOptions())
    assert sum(map(is_int8, quantized.layers)) == groups
    for sample in samples(groups * inputs, 3):
        found, expected = (Runtime.from_graph(one).run(sample, ["z"]) for one in (quantized, graph))
        assert noise_to_signal(found, expected) < 10**-2.5


def test_only_several_groups_of_several_channels_are_grouped() -> None:
    depthwise = convolution(6, 1, 1, kernel_w=3)
    assert grouped_layers(graph_of(depthwise, 6)) == []
    graph = graph_of(convolution(3, 2, 2), 6)
    assert [layer.name for layer in grouped_layers(graph)] == ["grouped"]
    apart, _ = take_groups_apart(graph, ["grouped"])
    assert grouped_layers(apart) == []
    quantized = graph.copy()
    quantized.layers[1].set("int8_scale_term", 1)
    assert grouped_layers(quantized) == []


@pytest.mark.parametrize("name", ["after", "elsewhere", "grouped_group_0"])
def test_others_are_refused(name: str) -> None:
    with pytest.raises(GraphError, match=name):
        take_groups_apart(graph_of(convolution(2, 2, 2), 4), ["grouped", name])


def test_names_that_are_taken_and_masks() -> None:
    layer = convolution(2, 2, 2)
    layer.params[31] = 2
    graph = graph_of(layer, 4)
    graph.layers[2].name = "grouped_group_0"
    graph.rename_blob("z", "y_group_1")
    graph.outputs = ["y_group_1"]
    apart, parts = take_groups_apart(graph, ["grouped"])
    apart.check()
    assert len({layer.name for layer in apart.layers}) == len(apart.layers)
    convolutions = [layer for layer in apart.layers if layer.name in parts["grouped"][1:-1]]
    assert [layer.feature_mask for layer in convolutions] == [2, 2]
    # The graph itself stays as it was.
    assert [layer.type for layer in graph.layers] == ["Input", "ConvolutionDepthWise", "ReLU"]
