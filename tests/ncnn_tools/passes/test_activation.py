"""Activations fused into the layer before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import fuse_activations

Make = Callable[..., Graph]
Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]

CHANNELS = 4
HOSTS: dict[str, dict[str, Any]] = {
    "Convolution": {"kernel_w": 3, "weight_data_size": CHANNELS * CHANNELS * 9},
    "ConvolutionDepthWise": {"kernel_w": 3, "group": CHANNELS, "weight_data_size": CHANNELS * 9},
    "Deconvolution": {"kernel_w": 2, "stride_w": 2, "weight_data_size": CHANNELS * CHANNELS * 4},
    "DeconvolutionDepthWise": {
        "kernel_w": 2,
        "stride_w": 2,
        "group": CHANNELS,
        "weight_data_size": CHANNELS * 4,
    },
    "InnerProduct": {"weight_data_size": CHANNELS * CHANNELS * 36},
}


def host(kind: str, source: str = "x", target: str = "a") -> Layer:
    layer = new_layer(kind, target, [source], [target], num_output=CHANNELS, bias_term=1, **HOSTS[kind])
    rng = np.random.default_rng(0)
    for spec in layer.weight_specs():
        layer.set_weight(spec.name, rng.normal(0, 0.5, spec.size))
    return layer


def prelu(slopes: list[float]) -> Layer:
    layer = new_layer("PReLU", "y", ["a"], ["y"], num_slope=len(slopes))
    layer.set_weight("slope", slopes)
    return layer


ACTIVATIONS = {
    "ReLU": new_layer("ReLU", "y", ["a"], ["y"]),
    "leaky ReLU": new_layer("ReLU", "y", ["a"], ["y"], slope=0.1),
    "negative slope": new_layer("ReLU", "y", ["a"], ["y"], slope=-0.3),
    "PReLU of one slope": prelu([0.2]),
    "Clip": new_layer("Clip", "y", ["a"], ["y"], min=-0.5, max=1.0),
    "Clip without bounds": new_layer("Clip", "y", ["a"], ["y"]),
    "Sigmoid": new_layer("Sigmoid", "y", ["a"], ["y"]),
    "Mish": new_layer("Mish", "y", ["a"], ["y"]),
    "HardSwish": new_layer("HardSwish", "y", ["a"], ["y"], alpha=1 / 6, beta=0.5),
}


def graph_of(make_graph: Make, *layers: Layer, outputs: tuple[str, ...] = ("y",)) -> Graph:
    return make_graph((CHANNELS, 6, 6), layers, outputs)


@pytest.mark.parametrize("kind", HOSTS)
@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())
def test_every_activation_is_fused_into_every_host(
    make_graph: Make, apply_pass: Apply, types: Types, kind: str, activation: Layer
) -> None:
    fused = apply_pass(fuse_activations, graph_of(make_graph, host(kind), activation), 1)
    assert types(fused) == [kind]
    assert fused.layers[-1].outputs == ["y"]


def test_two_hosts_in_a_row(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    layers = [host("Convolution"), ACTIVATIONS["ReLU"], host("ConvolutionDepthWise", "y", "b")]
    layers.append(new_layer("Sigmoid", "z", ["b"], ["z"]))
    fused = apply_pass(fuse_activations, graph_of(make_graph, *layers, outputs=("z",)), 2)
    assert types(fused) == ["Convolution", "ConvolutionDepthWise"]


def test_a_second_activation_stays(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    layers = [host("Convolution"), ACTIVATIONS["ReLU"], new_layer("Sigmoid", "z", ["y"], ["z"])]
    fused = apply_pass(fuse_activations, graph_of(make_graph, *layers, outputs=("z",)), 1)
    assert types(fused) == ["Convolution", "Sigmoid"]


NOT_FUSED = {
    "a slope for each channel": prelu([0.1, 0.2, 0.3, 0.4]),
    "an activation that ncnn does not fuse": new_layer("TanH", "y", ["a"], ["y"]),
    "Swish": new_layer("Swish", "y", ["a"], ["y"]),
}


@pytest.mark.parametrize("activation", NOT_FUSED.values(), ids=NOT_FUSED.keys())
def test_what_can_not_be_fused_stays(make_graph: Make, apply_pass: Apply, activation: Layer) -> None:
    apply_pass(fuse_activations, graph_of(make_graph, host("Convolution"), activation), 0)


def test_a_layer_that_is_no_host_stays(make_graph: Make, apply_pass: Apply) -> None:
    pooling = new_layer("Pooling", "a", ["x"], ["a"], kernel_w=2, stride_w=2)
    apply_pass(fuse_activations, graph_of(make_graph, pooling, ACTIVATIONS["ReLU"]), 0)


def test_a_blob_with_two_readers_stays(make_graph: Make, apply_pass: Apply) -> None:
    other = new_layer("Sigmoid", "z", ["a"], ["z"])
    layers = [host("Convolution"), ACTIVATIONS["ReLU"], other]
    apply_pass(fuse_activations, graph_of(make_graph, *layers, outputs=("y", "z")), 0)


def test_an_output_of_the_model_stays(make_graph: Make, apply_pass: Apply) -> None:
    layers = [host("Convolution"), ACTIVATIONS["ReLU"]]
    apply_pass(fuse_activations, graph_of(make_graph, *layers, outputs=("y", "a")), 0)


def test_an_activation_of_the_input_stays(make_graph: Make, apply_pass: Apply) -> None:
    apply_pass(fuse_activations, graph_of(make_graph, new_layer("ReLU", "y", ["x"], ["y"])), 0)
