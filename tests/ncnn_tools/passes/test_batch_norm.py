"""Batch normalization folded into the layer before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, Storage, Weight, new_layer
from ncnn_tools.half_precision import store_as_fp16
from ncnn_tools.passes import fold_batch_norms
from ncnn_tools.passes.batch_norm import batch_norm_factors
from ncnn_tools.quantize import quantize

Make = Callable[..., Graph]
Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]

OUTPUTS = 6
LINEAR: dict[str, dict[str, Any]] = {
    "Convolution": {"kernel_w": 3, "weight_data_size": OUTPUTS * 6 * 9},
    "ConvolutionDepthWise": {"kernel_w": 3, "group": 3, "weight_data_size": OUTPUTS * 2 * 9},
    "Deconvolution": {"kernel_w": 2, "stride_w": 2, "weight_data_size": OUTPUTS * 6 * 4},
    "DeconvolutionDepthWise": {"kernel_w": 2, "stride_w": 2, "group": 3, "weight_data_size": OUTPUTS * 2 * 4},
    "InnerProduct": {"weight_data_size": OUTPUTS * 6 * 25},
}


def filled(layer: Layer) -> Layer:
    rng = np.random.default_rng(len(layer.name))
    for spec in layer.weight_specs():
        positive = spec.name == "var"
        layer.set_weight(
            spec.name, rng.uniform(0.2, 2, spec.size) if positive else rng.normal(0, 1, spec.size)
        )
    return layer


def linear(kind: str, bias: bool = True, **more: Any) -> Layer:
    params = {"num_output": OUTPUTS, "bias_term": int(bias), **LINEAR[kind], **more}
    return filled(new_layer(kind, "linear", ["x"], ["a"], **params))


def batch_norm(source: str = "a", target: str = "y", channels: int = OUTPUTS, eps: float = 1e-5) -> Layer:
    return filled(new_layer("BatchNorm", target, [source], [target], channels=channels, eps=eps))


def graph_of(make_graph: Make, *layers: Layer, outputs: tuple[str, ...] = ("y",)) -> Graph:
    graph = make_graph((6, 5, 5), layers, outputs)
    rank = 1 if layers[0].type == "InnerProduct" else 3
    graph.shapes["a"] = (OUTPUTS, 5, 5)[:rank]
    return graph


@pytest.mark.parametrize("kind", LINEAR)
@pytest.mark.parametrize("bias", [False, True])
def test_fold(make_graph: Make, apply_pass: Apply, types: Types, kind: str, bias: bool) -> None:
    folded = apply_pass(fold_batch_norms, graph_of(make_graph, linear(kind, bias), batch_norm()), 1)
    assert types(folded) == [kind]
    assert folded.layers[-1].outputs == ["y"]
    assert folded.layers[-1].get("bias_term") == 1


def test_two_in_a_row(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    layers = [linear("Convolution"), batch_norm("a", "b"), batch_norm("b", "y")]
    assert types(apply_pass(fold_batch_norms, graph_of(make_graph, *layers), 2)) == ["Convolution"]


def test_a_dead_channel_stays_finite(make_graph: Make, apply_pass: Apply) -> None:
    norm = batch_norm(eps=0.0)
    norm.weights["var"].data[0] = 0
    norm.weights["var"].data[1] = 1e-20
    factor, offset = batch_norm_factors(norm)
    assert np.isfinite(factor).all()
    assert np.isfinite(offset).all()
    apply_pass(fold_batch_norms, graph_of(make_graph, linear("Convolution"), norm), 1)


def test_weights_in_half_precision(make_graph: Make, apply_pass: Apply) -> None:
    graph = store_as_fp16(graph_of(make_graph, linear("Convolution"), batch_norm()))
    folded = apply_pass(fold_batch_norms, graph, 1)
    assert folded.layers[1].weights["weight"].storage is Storage.FP32


def test_weights_behind_a_codebook(make_graph: Make, apply_pass: Apply) -> None:
    layer = linear("Convolution")
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 256, layer.get("weight_data_size")).astype(np.uint8)
    book = rng.normal(0, 1, 256).astype(np.float32)
    layer.weights["weight"] = Weight(indices, Storage.CODEBOOK, book, tag=1)
    apply_pass(fold_batch_norms, graph_of(make_graph, layer, batch_norm()), 1)


def test_the_folded_graph_leaves_the_given_one_alone(make_graph: Make, apply_pass: Apply) -> None:
    graph = graph_of(make_graph, linear("Convolution"), batch_norm())
    before = graph.layers[1].weights["weight"].data.copy()
    apply_pass(fold_batch_norms, graph, 1)
    np.testing.assert_array_equal(graph.layers[1].weights["weight"].data, before)


def test_an_activation_between_stops_it(make_graph: Make, apply_pass: Apply) -> None:
    fused = linear("Convolution", activation_type=1)
    apply_pass(fold_batch_norms, graph_of(make_graph, fused, batch_norm()), 0)
    layers = [linear("Convolution"), new_layer("ReLU", "b", ["a"], ["b"]), batch_norm("b")]
    apply_pass(fold_batch_norms, graph_of(make_graph, *layers), 0)


def test_a_second_reader_stops_it(make_graph: Make, apply_pass: Apply) -> None:
    layers = [linear("Convolution"), batch_norm(), new_layer("ReLU", "z", ["a"], ["z"])]
    apply_pass(fold_batch_norms, graph_of(make_graph, *layers, outputs=("y", "z")), 0)


def test_an_output_of_the_model_stops_it(make_graph: Make, apply_pass: Apply) -> None:
    graph = graph_of(make_graph, linear("Convolution"), batch_norm(), outputs=("a", "y"))
    apply_pass(fold_batch_norms, graph, 0)


def test_an_int8_layer_is_left_alone(make_graph: Make, apply_pass: Apply) -> None:
    graph = quantize(graph_of(make_graph, linear("Convolution"), batch_norm()), {"x": 3.0})
    apply_pass(fold_batch_norms, graph, 0)


@pytest.mark.parametrize("rows", [4, OUTPUTS])
def test_a_matrix_times_a_matrix_is_left_alone(make_graph: Make, apply_pass: Apply, rows: int) -> None:
    """InnerProduct of a matrix gives (rows, outputs), and the channels of BatchNorm are its rows."""
    product = filled(
        new_layer("InnerProduct", "linear", ["x"], ["a"], num_output=OUTPUTS, weight_data_size=OUTPUTS * 5)
    )
    graph = make_graph((rows, 5), [product, batch_norm(channels=rows)], ["y"])
    graph.shapes["a"] = (rows, OUTPUTS)
    apply_pass(fold_batch_norms, graph, 0)


def test_a_vector_of_unknown_shape_is_left_alone(make_graph: Make, apply_pass: Apply) -> None:
    graph = graph_of(make_graph, linear("InnerProduct"), batch_norm())
    graph.shapes.clear()
    apply_pass(fold_batch_norms, graph, 0)
