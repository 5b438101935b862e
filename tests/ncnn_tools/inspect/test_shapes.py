"""Shapes from a run apart, against those that the graph was made with; and models that ncnn does not survive."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.inspect.shapes import measure_blobs
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.passes import optimize
from ncnn_tools.quantization import quantize

Make = Callable[..., Graph]


@pytest.mark.parametrize("shape", [(7,), (3, 5), (3, 4, 5), (2, 3, 4, 5)])
def test_one_to_four_axes(make_graph: Make, shape: tuple[int, ...]) -> None:
    graph = make_graph(shape, [new_layer("ReLU", "y", ["x"], ["y"])], ["y"])
    measured = measure_blobs(graph, {"x": shape})
    assert {blob: size.shape for blob, size in measured.sizes.items()} == {"x": shape, "y": shape}
    assert measured.problem == ""


def test_shapes_are_those_of_the_onnx_tensors(make_model: Callable) -> None:
    from onnx import helper

    rng = np.random.default_rng(0)
    model = make_model(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("GlobalAveragePool", ["b"], ["c"]),
            helper.make_node("Mul", ["b", "c"], ["d"]),
            helper.make_node("Flatten", ["d"], ["y"]),
        ],
        {"x": [1, 3, 12, 15]},
        ["y"],
        {"w": rng.normal(0, 1, (8, 3, 3, 3)).astype(np.float32)},
    )
    graph = optimize(convert_onnx(model))
    sizes = measure_blobs(graph, {"x": (3, 12, 15)}).sizes
    assert {blob: sizes[blob].shape for blob in graph.outputs} == {"y": (8 * 5 * 7,)}
    assert (8, 5, 7) in {size.shape for size in sizes.values()}
    assert set(sizes) == set(graph.blobs())


def test_a_requantized_blob_has_eight_bits(make_graph: Make) -> None:
    first, second = (
        new_layer("Convolution", name, [source], [name], num_output=8, kernel_w=1, weight_data_size=64)
        for name, source in (("a", "x"), ("y", "a"))
    )
    for layer in (first, second):
        layer.set_weight("weight", np.ones(64))
    graph = quantize(make_graph((8, 4, 4), [first, second], ["y"]), {"x": 1.0, "a": 1.0})
    first = graph.layers[1]
    first.set("int8_scale_term", 102)
    first.set_weight("output_scale", [127.0])
    sizes = measure_blobs(graph, {"x": (8, 4, 4)}).sizes
    assert {blob: size.bits for blob, size in sizes.items()} == {"x": 32, "a": 8, "y": 32}


def test_a_crash_is_told_and_what_came_before_is_kept(make_graph: Make) -> None:
    cut = new_layer("Slice", "cut", ["a"], ["y"], slices=(100_000,))  # reads far beyond the end
    graph = make_graph((3, 4, 4), [new_layer("ReLU", "a", ["x"], ["a"]), cut], ["y"])
    measured = measure_blobs(graph, {"x": (3, 4, 4)})
    assert set(measured.sizes) == {"x", "a"}
    assert "layer 'cut' (Slice) did not run: ncnn was ended by SIGSEGV" in measured.problem


def test_a_size_beyond_all_memory(make_graph: Make) -> None:
    graph = make_graph((3, 400_000, 400_000), [new_layer("ReLU", "y", ["x"], ["y"])], ["y"])
    measured = measure_blobs(graph, {"x": (3, 400_000, 400_000)})
    assert measured.sizes == {}
    assert "Unable to allocate" in measured.problem


def test_weights_beyond_all_memory(make_graph: Make) -> None:
    layer = new_layer("InnerProduct", "y", ["x"], ["y"], num_output=2**15, weight_data_size=2**31 - 1)
    measured = measure_blobs(make_graph((4,), [layer], ["y"]), {"x": (4,)})
    assert "weight 'weight' has 2147483647 values" in measured.problem


def test_it_takes_no_longer_than_it_may(make_graph: Make) -> None:
    graph = make_graph((3, 4, 4), [new_layer("ReLU", "y", ["x"], ["y"])], ["y"])
    assert "longer than 0.01 s" in measure_blobs(graph, {"x": (3, 4, 4)}, timeout_s=0.01).problem
