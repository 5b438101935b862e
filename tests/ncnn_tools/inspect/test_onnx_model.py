"""The facts of ONNX models: counted by hand, and against those of the ncnn model that they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ncnn_tools.inspect import LayerFacts, inspect_model, inspect_onnx
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.passes import insert_splits

Make = Callable[..., onnx.ModelProto]
MAP = [1, 4, 10, 6]  # 240 values


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("operator", "attributes", "shapes", "constants", "macs"),
    [
        # 10 x 6 output pixels, 8 channels, 3 x 3 windows of 4 channels; then with two groups, and with a batch of 2
        ("Conv", {"pads": [1] * 4}, [MAP], [zeros(8, 4, 3, 3)], 60 * 288),
        ("Conv", {"pads": [1] * 4, "group": 2}, [MAP], [zeros(8, 2, 3, 3)], 60 * 144),
        ("Conv", {"pads": [1] * 4}, [[2, 4, 10, 6]], [zeros(8, 4, 3, 3)], 2 * 60 * 288),
        ("Conv", {}, [[1, 4, 10]], [zeros(8, 4, 3)], 8 * 96),
        ("ConvTranspose", {"strides": [2, 2]}, [MAP], [zeros(4, 8, 2, 2)], 60 * 128),
        ("Gemm", {"transB": 1}, [[7, 20]], [zeros(5, 20), zeros(5)], 700),
        ("Gemm", {"transA": 1}, [[20, 7]], [zeros(20, 5)], 700),
        ("MatMul", {}, [[2, 7, 20], [2, 20, 5]], [], 1400),
        ("BatchNormalization", {}, [MAP], [zeros(4)] * 4, 240),
        ("PRelu", {}, [MAP], [zeros(4, 1, 1)], 240),
        ("Add", {}, [MAP, MAP], [], 240),
        ("Mul", {}, [MAP], [zeros(1)], 240),
        ("Sum", {}, [MAP, MAP, MAP], [], 480),
        ("Softmax", {}, [MAP], [], 480),
        ("MaxPool", {"kernel_shape": [2, 3], "strides": [2, 3]}, [MAP], [], 4 * 5 * 2 * 6),
        ("GlobalAveragePool", {}, [MAP], [], 240),
        ("ReduceMean", {"keepdims": 0}, [MAP], [], 240),
        # 9 steps, two directions of four gates with 5 cells, from 3 inputs and 5 outputs; a batch of 1
        ("LSTM", {"hidden_size": 5, "direction": "bidirectional"}, [[9, 1, 3]],
         [zeros(2, 20, 3), zeros(2, 20, 5)], 9 * 2 * 20 * 8),
        ("Relu", {}, [MAP], [], 0),
        ("Concat", {"axis": 1}, [MAP, MAP], [], 0),
    ],
)  # fmt: skip
def test_multiply_adds(
    make_model: Make,
    operator: str,
    attributes: Mapping[str, object],
    shapes: Sequence[Sequence[int]],
    constants: Sequence[np.ndarray],
    macs: int,
) -> None:
    inputs = {f"x{number}": shape for number, shape in enumerate(shapes)}
    weights = {f"w{number}": value for number, value in enumerate(constants)}
    node = helper.make_node(operator, [*inputs, *weights], ["y"], **attributes)
    [layer] = inspect_onnx(make_model([node], inputs, ["y"], weights), 1).layers
    assert layer.macs == macs
    assert layer.parameters == sum(value.size for value in constants)


@pytest.mark.parametrize(("mode", "each"), [("nearest", 0), ("linear", 4), ("cubic", 16)])
def test_resize(make_model: Make, mode: str, each: int) -> None:
    scales = np.array([1, 1, 2, 2], np.float32)
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode=mode)
    [layer] = inspect_onnx(make_model([node], {"x": MAP}, ["y"], {"s": scales}), 1).layers
    assert layer.macs == each * 960


@pytest.fixture
def network(make_model: Make) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(0, 1, (8, 3, 3, 3)).astype(np.float32),
        "b": zeros(8),
        "shape": np.array([1, -1], np.int64),
        "fc": rng.normal(0, 1, (280, 5)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], name="conv", strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Add", ["r", "a"], ["s"], name="add"),
        helper.make_node("Reshape", ["s", "shape"], ["f"], name="reshape"),
        helper.make_node("MatMul", ["f", "fc"], ["y"], name="fc"),
    ]
    return make_model(nodes, {"x": [1, 3, 12, 15]}, ["y"], constants)


def test_nodes_as_they_stand_in_the_file(network: onnx.ModelProto) -> None:
    model = inspect_onnx(network, 4711)
    layers = {layer.name: layer for layer in model.layers}
    assert [layer.type for layer in model.layers] == ["Conv", "Relu", "Add", "Reshape", "MatMul"]
    assert list(layers) == ["conv", "r", "add", "reshape", "fc"]  # a node without a name has its output's
    conv = layers["conv"]
    assert [(blob.name, blob.shape) for blob in conv.inputs] == [("x", (1, 3, 12, 15))]
    assert [blob.shape for blob in conv.outputs] == [(1, 8, 5, 7)]
    assert (conv.parameters, conv.weight_bytes, conv.stored) == (224, 896, "fp32")
    assert conv.activation_bytes == 4 * (540 + 280)
    assert (layers["reshape"].parameters, layers["reshape"].weight_bytes) == (
        0,
        16,
    )  # a shape is no parameter
    assert (conv.fp16, conv.int8) == (None, None)
    assert model.file_bytes == 4711
    assert model.peak is None
    assert model.notes == ()


def test_multiply_adds_are_those_of_the_ncnn_model(network: onnx.ModelProto) -> None:
    graph = convert_onnx(network)
    insert_splits(graph)
    ncnn = inspect_model(graph, {}, file_bytes=1)
    assert inspect_onnx(network, 1).totals.macs == ncnn.totals.macs
    assert inspect_onnx(network, 1).totals.parameters == ncnn.totals.parameters


def test_a_weight_that_two_nodes_read_counts_once(make_model: Make) -> None:
    nodes = [helper.make_node("Mul", ["x", "w"], ["a"]), helper.make_node("Mul", ["a", "w"], ["y"])]
    model = inspect_onnx(make_model(nodes, {"x": MAP}, ["y"], {"w": zeros(4, 1, 1)}), 1)
    assert [layer.parameters for layer in model.layers] == [4, 0]


def test_constant_nodes(make_model: Make) -> None:
    constant = helper.make_node(
        "Constant", [], ["k"], value=helper.make_tensor("k", TensorProto.FLOAT, [6], [0] * 6)
    )
    model = inspect_onnx(
        make_model([constant, helper.make_node("Mul", ["x", "k"], ["y"])], {"x": MAP}, ["y"]), 1
    )
    first, second = model.layers
    assert (first.parameters, first.macs, first.activation_bytes) == (6, 0, 0)
    assert (second.parameters, second.macs, second.activation_bytes) == (0, 240, 8 * 240)


def test_shapes_that_nothing_tells(make_model: Make) -> None:
    nodes = [
        helper.make_node("Frobnicate", ["x"], ["a"], name="odd", domain="com.example"),
        helper.make_node("Relu", ["a"], ["y"]),
    ]
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": MAP}, ["y"])
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    facts = inspect_onnx(model, 1)
    odd: LayerFacts = facts.layers[0]
    assert (odd.type, odd.macs, odd.outputs[0].shape) == ("com.example.Frobnicate", None, None)
    assert facts.totals.macs is None
    assert "2 nodes, 'odd' first, can't be inferred" in facts.notes[-1]
