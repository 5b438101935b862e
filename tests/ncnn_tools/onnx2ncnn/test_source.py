"""Reading an ONNX model: constants folded, shapes known, invalid models refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from ncnn_tools.errors import InvalidModelError, UnsupportedOperatorError
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.onnx2ncnn.source import Source

Make = Callable[..., onnx.ModelProto]
node = helper.make_node


def test_constants_are_folded_through_any_operator(make_model: Make, check_model: Callable[..., Any]) -> None:
    nodes = [
        node("Constant", [], ["one"], value_float=1.0),
        node("Exp", ["one"], ["e"]),
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "two"], ["height"]),
        node("Cast", ["height"], ["height_float"], to=onnx.TensorProto.FLOAT),
        node("Add", ["e", "height_float"], ["sum"]),
        node("Mul", ["x", "sum"], ["y"]),
    ]
    model = make_model(nodes, {"x": (1, 3, 4, 5)}, ["y"], {"two": np.array(2)})
    source = Source(model)
    assert [entry.operator for entry in source.nodes] == ["Mul"]
    assert source.constants["sum"] == pytest.approx(np.e + 4)
    check_model(model)


def test_a_reshape_to_a_computed_shape(make_model: Make, check_model: Callable[..., Any]) -> None:
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "first_two"], ["kept"]),
        node("Concat", ["kept", "rest"], ["wanted"], axis=0),
        node("Reshape", ["x", "wanted"], ["y"]),
    ]
    constants = {"first_two": np.array([0, 1]), "rest": np.array([-1])}
    check_model(make_model(nodes, {"x": (1, 3, 4, 5)}, ["y"], constants))


def test_initializers_that_are_listed_as_inputs_are_constants(make_model: Make) -> None:
    model = make_model([node("Add", ["x", "c"], ["y"])], {"x": (1, 3)}, ["y"], {"c": np.ones(3, np.float32)})
    model.graph.input.append(helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, [3]))
    assert Source(model).inputs == ["x"]
    assert convert_onnx(model).inputs == ["x"]


@pytest.mark.parametrize("operator", ["RandomNormal", "RandomUniform"])
def test_random_values_are_no_constants(make_model: Make, operator: str) -> None:
    nodes = [node(operator, [], ["r"], shape=[1, 3]), node("Add", ["x", "r"], ["y"])]
    with pytest.raises(UnsupportedOperatorError, match=operator):
        convert_onnx(make_model(nodes, {"x": (1, 3)}, ["y"]))


def branch(operator: str) -> onnx.GraphProto:
    result = helper.make_tensor_value_info("r", onnx.TensorProto.FLOAT, [1, 3])
    nodes = [node(operator, ["x"], ["inner"]), node("Neg", ["inner"], ["r"])]
    return helper.make_graph(nodes, operator, [], [result])


@pytest.mark.parametrize("condition", [True, False])
def test_a_constant_condition_chooses_its_branch(
    make_model: Make, check_model: Callable[..., Any], condition: bool
) -> None:
    # Both have tensors of the same names.
    first = node("If", ["c"], ["z"], then_branch=branch("Relu"), else_branch=branch("Abs"))
    second = node("If", ["d"], ["w"], then_branch=branch("Abs"), else_branch=branch("Relu"))
    constants = {"c": np.array(condition), "d": np.array(condition)}
    nodes = [first, second, node("Sub", ["z", "w"], ["y"])]
    check_model(make_model(nodes, {"x": (1, 3)}, ["y"], constants))


def test_a_computed_condition_is_refused(make_model: Make) -> None:
    nodes = [
        node("ReduceMax", ["x"], ["m"], keepdims=0),
        node("Cast", ["m"], ["c"], to=onnx.TensorProto.BOOL),
        node("If", ["c"], ["z"], then_branch=branch("Relu"), else_branch=branch("Neg")),
        node("Abs", ["z"], ["y"]),
    ]
    with pytest.raises(UnsupportedOperatorError, match="If"):
        convert_onnx(make_model(nodes, {"x": (1, 3)}, ["y"]))


def test_shapes_are_inferred_with_all_constants_known(
    make_model: Make, check_model: Callable[..., Any]
) -> None:
    # The inference over the whole model does not follow a shape through Where.
    nodes = [
        node("Where", ["c", "shape", "other"], ["wanted"]),
        node("Reshape", ["x", "wanted"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Flatten", ["b"], ["y"]),
    ]
    constants = {
        "c": np.array([True, False, True]),
        "shape": np.array([2, 9, 4]),
        "other": np.array([9, 3, 9]),
    }
    check_model(make_model(nodes, {"x": (1, 24)}, ["y"], constants))


def test_a_constant_that_would_fill_the_memory_is_refused(make_model: Make) -> None:
    nodes = [node("ConstantOfShape", ["s"], ["r"], name="huge"), node("Add", ["x", "r"], ["y"])]
    model = make_model(nodes, {"x": (1, 3)}, ["y"], {"s": np.array([10**6, 10**6, 3])})
    with pytest.raises(UnsupportedOperatorError, match=r"huge.*too large"):
        convert_onnx(model)


def test_a_constant_that_can_not_be_computed_is_refused(make_model: Make) -> None:
    nodes = [node("Reshape", ["a", "s"], ["r"], name="wrong"), node("Add", ["x", "r"], ["y"])]
    constants = {"a": np.zeros(4, np.float32), "s": np.array([3, 5])}
    with pytest.raises(UnsupportedOperatorError, match="wrong"):
        convert_onnx(make_model(nodes, {"x": (1, 3)}, ["y"], constants))


def test_a_shape_that_is_not_static_is_refused(make_model: Make) -> None:
    model = make_model([node("Relu", ["x"], ["y"])], {"x": (1, "channels", 4)}, ["y"])
    with pytest.raises(UnsupportedOperatorError, match="not static"):
        convert_onnx(model)


def test_a_shape_that_can_not_be_inferred_is_refused(make_model: Make) -> None:
    nodes = [node("Expand", ["x", "s"], ["z"]), node("Relu", ["z"], ["y"])]
    with pytest.raises(UnsupportedOperatorError):
        convert_onnx(make_model(nodes, {"x": (1, 3), "s": (1, 2)}, ["y"]))


INVALID = {
    "a tensor that nothing gives": [node("Relu", ["nowhere"], ["y"])],
    "nodes in the wrong order": [node("Relu", ["a"], ["y"]), node("Relu", ["x"], ["a"])],
    "a missing input": [node("Conv", ["x"], ["y"])],
    "an input left out that is not optional": [node("Relu", [""], ["y"])],
    "a missing attribute": [node("MaxPool", ["x"], ["y"])],
    "an attribute that the operator does not have": [node("Relu", ["x"], ["y"], alpha=1.0)],
    "an operator that does not exist": [node("Frobnicate", ["x"], ["y"])],
    "two nodes that give one tensor": [node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])],
}


@pytest.mark.parametrize("nodes", INVALID.values(), ids=INVALID.keys())
def test_invalid_models_are_refused(make_model: Make, nodes: list[onnx.NodeProto]) -> None:
    with pytest.raises(InvalidModelError):
        convert_onnx(make_model(nodes, {"x": (1, 3, 4, 4)}, ["y"]))


def test_an_output_whose_shape_contradicts_its_value_is_refused(make_model: Make) -> None:
    constant = {"c": np.ones((1, 3), np.float32)}
    model = make_model([node("Relu", ["x"], ["y"])], {"x": (1, 3)}, ["y", "c"], constant)
    model.graph.output[1].type.tensor_type.shape.dim.add().dim_value = 7
    with pytest.raises(InvalidModelError):
        convert_onnx(model)


def test_a_model_without_a_graph_is_refused() -> None:
    with pytest.raises(InvalidModelError):
        convert_onnx(onnx.ModelProto())


def test_an_operator_of_another_domain_is_refused(make_model: Make) -> None:
    model = make_model([node("Relu", ["x"], ["y"], name="fused")], {"x": (1, 3)}, ["y"])
    model.graph.node[0].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(UnsupportedOperatorError, match=r"fused.*com\.microsoft\.Relu"):
        convert_onnx(model)
