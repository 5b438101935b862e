"""Names of blobs and layers, and what the builder refuses whatever the operator."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.param_file import MAX_NAME, read_param, write_param

Make = Callable[..., onnx.ModelProto]
Check = Callable[..., Any]
node = helper.make_node


@settings(max_examples=100)
@given(names=st.lists(st.text(min_size=1, max_size=300), min_size=4, max_size=4, unique=True))
def test_any_tensor_name_becomes_a_blob_name_of_its_own(make_model: Make, names: list[str]) -> None:
    nodes = [node("Relu", [a], [b]) for a, b in itertools.pairwise(names)]
    graph = convert_onnx(make_model(nodes, {names[0]: (1, 3)}, [names[-1]]))
    assert [graph.origins[blob] for blob in graph.blobs()] == names
    assert all(len(blob.encode()) <= MAX_NAME for blob in graph.blobs())
    assert read_param(write_param(graph)).layers == graph.layers


def test_usual_names_stay_as_they_are(make_model: Make) -> None:
    model = make_model(
        [node("Relu", ["image"], ["/head/Relu_output_0"])], {"image": (1, 3)}, ["/head/Relu_output_0"]
    )
    graph = convert_onnx(model)
    assert (graph.inputs, graph.outputs) == (["image"], ["/head/Relu_output_0"])


def test_a_constant_that_several_nodes_read_is_made_once(make_model: Make, check_model: Check) -> None:
    nodes = [node("Concat", ["x", "c"], ["a"], axis=1), node("Concat", ["a", "c"], ["y"], axis=1)]
    graph = check_model(make_model(nodes, {"x": (1, 3)}, ["y"], {"c": np.ones((1, 2), np.float32)}))
    assert [layer.type for layer in graph.layers].count("MemoryData") == 1


def test_several_inputs_and_outputs(make_model: Make, check_model: Check) -> None:
    nodes = [node("Add", ["a", "b"], ["sum"]), node("Sub", ["a", "b"], ["difference"])]
    model = make_model(nodes, {"b": (1, 3, 4), "a": (1, 3, 4)}, ["difference", "sum"])
    graph = check_model(model)
    assert graph.inputs == ["b", "a"]
    assert graph.outputs == ["difference", "sum"]


def relu(make_model: Make, shape: tuple[int, ...]) -> onnx.ModelProto:
    return make_model([node("Relu", ["x"], ["y"])], {"x": shape}, ["y"])


@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 5)])
def test_shapes_with_and_without_a_batch(
    make_model: Make, check_model: Check, shape: tuple[int, ...]
) -> None:
    check_model(relu(make_model, shape))


@pytest.mark.parametrize("shape", [(1, 2, 2, 2, 2, 2), (2, 2, 2, 2, 2), (1, 1, 1, 2, 2, 2)])
def test_inputs_of_more_axes_than_ncnn_holds_are_refused(make_model: Make, shape: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"node 'x'.*one to 4 axes"):
        convert_onnx(relu(make_model, shape))


@pytest.mark.parametrize("shape", [(0,), (1, 0, 3)])
def test_inputs_without_values_are_refused(make_model: Make, shape: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"tensor 'x'.*holds no values"):
        convert_onnx(relu(make_model, shape))


def test_inputs_that_are_not_float_are_refused(make_model: Make) -> None:
    model = relu(make_model, (1, 3))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    with pytest.raises(UnsupportedOperatorError, match="float32"):
        convert_onnx(model)


def test_an_output_that_is_an_input_or_a_constant_is_refused(make_model: Make) -> None:
    for output in ("x", "c"):
        model = make_model(
            [node("Relu", ["x"], ["y"])], {"x": (1, 3)}, ["y", output], {"c": np.ones((1, 3), np.float32)}
        )
        with pytest.raises(UnsupportedOperatorError, match=f"node '{output}' .output"):
            convert_onnx(model)


def test_a_parameter_beyond_32_bits_is_refused(check_refused: Check) -> None:
    weight = {"w": np.ones((4, 3, 1, 1), np.float32)}
    check_refused("Conv", {"x": (1, 3, 4, 4)}, weight, strides=[2**40, 1])


@pytest.mark.parametrize(("operator", "shape"), [("Conv", (4, 5, 3, 3)), ("ConvTranspose", (5, 4, 3, 3))])
def test_weights_for_other_channels_than_the_input_has_are_refused(
    check_refused: Check, operator: str, shape: tuple[int, ...]
) -> None:
    check_refused(operator, {"x": (1, 3, 6, 6)}, {"w": np.ones(shape, np.float32)})
