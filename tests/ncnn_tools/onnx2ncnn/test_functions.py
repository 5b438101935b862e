"""Operators that ONNX defines by other ones, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.onnx2ncnn import OPERATORS, convert_onnx
from ncnn_tools.onnx2ncnn.functions import expand

Make = Callable[..., onnx.ModelProto]
Check = Callable[..., Any]
node = helper.make_node


def test_there_is_no_converter_for_what_is_tested_here() -> None:
    assert OPERATORS.keys().isdisjoint({"Attention", "RotaryEmbedding", "CenterCropPad"})


HEADS = {"q": (1, 4, 3, 8), "k": (1, 2, 5, 8), "v": (1, 2, 5, 6)}
ROWS = {"q": (1, 3, 32), "k": (1, 5, 16), "v": (1, 5, 12)}


@pytest.mark.parametrize("opset", [23, 24])
@pytest.mark.parametrize(
    "attributes", [{}, {"scale": 0.5}, {"is_causal": 1}, {"softcap": 2.0}], ids=lambda item: str(item)
)
def test_attention(check_operator: Check, opset: int, attributes: dict[str, Any]) -> None:
    check_operator("Attention", {**HEADS, "k": (1, 4, 5, 8), "v": (1, 4, 5, 6)}, opset=opset, **attributes)


def test_attention_of_rows_with_fewer_keys_than_heads(check_operator: Check) -> None:
    check_operator("Attention", ROWS, opset=23, q_num_heads=4, kv_num_heads=2)
    check_operator("Attention", HEADS, opset=23)


@pytest.mark.parametrize("kind", [bool, np.float32])
def test_attention_with_a_constant_mask(check_operator: Check, kind: type) -> None:
    mask = (np.arange(15).reshape(3, 5) % 4 > 0).astype(kind)
    shapes = {**HEADS, "k": (1, 4, 5, 8), "v": (1, 4, 5, 6)}
    check_operator("Attention", shapes, {"mask": mask}, opset=23)


def test_rotary_embedding(check_operator: Check) -> None:
    angles = np.random.default_rng(0).uniform(0, 6, (1, 3, 4)).astype(np.float32)
    caches = {"cos": np.cos(angles), "sin": np.sin(angles)}
    check_operator("RotaryEmbedding", {"x": (1, 2, 3, 8)}, caches, opset=23)


def test_center_crop_pad(check_operator: Check) -> None:
    check_operator("CenterCropPad", {"x": (1, 3, 5, 8)}, {"size": np.array([7, 4])}, axes=[2, 3])


def test_what_the_body_can_not_do_is_said_of_the_node_itself(check_refused: Check) -> None:
    error = check_refused("Attention", {**HEADS, "mask": (3, 5)}, opset=23)
    assert "is computed with Equal" in error.reason


def test_a_function_of_the_model_itself(make_model: Make, check_model: Check) -> None:
    body = helper.make_function(
        "local",
        "Twice",
        ["a"],
        ["b"],
        [node("Add", ["a", "a"], ["s"]), node("Relu", ["s"], ["b"])],
        [helper.make_opsetid("", 18)],
    )
    model = make_model([node("Relu", ["x"], ["t"]), node("Neg", ["t"], ["y"])], {"x": (1, 3)}, ["y"])
    model.graph.node[0].op_type, model.graph.node[0].domain = "Twice", "local"
    model.functions.append(body)
    model.opset_import.append(helper.make_opsetid("local", 1))
    check_model(model)


def test_the_body_is_named_after_the_node() -> None:
    types = {"x": helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, (1, 3))}
    nodes = expand(node("Softsign", ["x"], ["y"], name="act"), 18, types)
    assert [entry.output[0] for entry in nodes][-1] == "y"
    assert all(entry.name.startswith("act/") for entry in nodes)
    assert all(name.startswith("act/") or name == "x" for entry in nodes for name in entry.input)


def test_operators_without_a_definition_have_no_body() -> None:
    assert expand(node("Conv", ["x", "w"], ["y"]), 18, {}) == []


def test_an_operator_that_can_not_be_expanded_is_refused(make_model: Make) -> None:
    # Its body has a branch, which no converter takes.
    model = make_model(
        [node("AffineGrid", ["x", "size"], ["y"])],
        {"x": (1, 2, 3)},
        ["y"],
        {"size": np.array([1, 1, 4, 5])},
        opset=20,
    )
    with pytest.raises(UnsupportedOperatorError, match="AffineGrid"):
        convert_onnx(model)
