"""The walk over a whole model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.onnx2ncnn import OPERATORS, convert_onnx
from ncnn_tools.onnx2ncnn.adaptive_pooling import ADAPTIVE_AVERAGE_POOL

Make = Callable[..., onnx.ModelProto]
Check = Callable[..., Any]
node = helper.make_node


def test_every_operator_that_is_missing_is_named_at_once(make_model: Make) -> None:
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("Det", ["a"], ["b"], name="first"),
        node("EyeLike", ["b"], ["c"]),
        node("Det", ["c"], ["y"]),
    ]
    with pytest.raises(UnsupportedOperatorError, match=r"'first' \(Det\).*neither for EyeLike$") as caught:
        convert_onnx(make_model(nodes, {"x": (3, 3)}, ["y"]))
    assert (caught.value.node, caught.value.operator) == ("first", "Det")


def test_a_node_without_a_name_is_called_by_its_output(make_model: Make) -> None:
    with pytest.raises(UnsupportedOperatorError, match="node 'y'"):
        convert_onnx(make_model([node("Det", ["x"], ["y"])], {"x": (3, 3)}, ["y"]))


def test_the_documentation_lists_every_operator_once() -> None:
    document = (Path(__file__).parents[3] / "docs" / "operators.md").read_text()
    table = document.partition("| operators |")[2].partition("\n\n")[0]
    listed = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])]
    assert sorted(listed) == sorted(OPERATORS)


def test_an_attribute_that_no_converter_looks_at_is_refused(check_refused: Check) -> None:
    check_refused("Relu", {"x": (1, 3)}, opset=5, attribute="consumed_inputs", consumed_inputs=[0])


def test_every_operator_exists_in_onnx() -> None:
    assert all(onnx.defs.has(operator) for operator in set(OPERATORS) - {ADAPTIVE_AVERAGE_POOL})


@pytest.mark.parametrize("opset", [13, 18, 20])
def test_a_small_network_of_many_operators(
    make_model: Make, random_inputs: Callable[..., Any], check_model: Check, opset: int
) -> None:
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(0, 0.4, (8, 3, 3, 3)).astype(np.float32),
        "slope": rng.normal(0, 1, (8, 1, 1)).astype(np.float32),
        "d": rng.normal(0, 0.4, (8, 1, 3, 3)).astype(np.float32),
        "fc": rng.normal(0, 0.4, (8, 8)).astype(np.float32),
        "sizes": np.array([1, 8, 8, 8]),
        "pooled_shape": np.array([1, 8, 1, 1]),
    }
    nodes = [
        node("Conv", ["x", "w"], ["conv"], pads=[1, 1, 1, 1]),
        node("PRelu", ["conv", "slope"], ["act"]),
        node("MaxPool", ["act"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["small", "d"], ["deep"], pads=[1, 1, 1, 1], group=8),
        node("GlobalAveragePool", ["deep"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("MatMul", ["flat", "fc"], ["scores"]),
        node("Sigmoid", ["scores"], ["gates"]),
        node("Reshape", ["gates", "pooled_shape"], ["gates4"]),
        node("Mul", ["deep", "gates4"], ["gated"]),
        node("Resize", ["gated", "", "", "sizes"], ["large"], mode="linear"),
        node("Concat", ["large", "act"], ["joined"], axis=1),
        node("Softmax", ["joined"], ["y"], axis=1),
    ]
    model = make_model(nodes, {"x": (1, 3, 8, 8)}, ["y", "scores"], constants, opset=opset)
    graph = check_model(model, random_inputs(model, seed=3))
    assert graph.origins["gated"] == "gated"
    assert graph.shapes["gated"] == (8, 4, 4)
