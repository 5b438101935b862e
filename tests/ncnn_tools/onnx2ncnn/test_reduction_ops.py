"""Reductions, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.onnx2ncnn import convert_onnx

Check = Callable[..., Any]
Shape = tuple[int, ...]


CHANNELS = st.sampled_from([1, 3, 4, 8, 13, 16])
REDUCTIONS = [
    *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"),
    *("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"),
]


def values(operator: str, shape: Shape) -> np.ndarray:
    """Values of both signs, or positive ones where a logarithm is taken of their sum."""
    drawn = np.random.default_rng(0).normal(0, 1.5, shape).astype(np.float32)
    return np.abs(drawn) + np.float32(0.1) if operator == "ReduceLogSum" else drawn


@st.composite
def reductions(draw: st.DrawFn) -> tuple[Shape, list[int]]:
    shape = (draw(st.sampled_from([1, 1, 2])), draw(CHANNELS), *draw(st.lists(st.integers(1, 6), max_size=3)))
    assume(shape[0] == 1 or len(shape) < 5)
    axes = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    return shape, [axis - draw(st.sampled_from([0, len(shape)])) for axis in axes]


@given(
    operator=st.sampled_from(REDUCTIONS),
    case=reductions(),
    keep=st.booleans(),
    opset=st.sampled_from([11, 18]),
)
def test_reductions(
    refusal: Check, operator: str, case: tuple[Shape, list[int]], keep: bool, opset: int
) -> None:
    shape, axes = case
    options: dict[str, Any] = {"opset": opset, "keepdims": int(keep), "feeds": {"x": values(operator, shape)}}
    if opset == 18 or (operator == "ReduceSum" and opset >= 13):
        error = refusal(operator, {"x": shape}, {"axes": np.array(axes)}, **options)
    else:
        error = refusal(operator, {"x": shape}, axes=axes, **options)
    assert error is None or error.attribute == "axes"


def test_reduce_sum_takes_its_axes_as_an_input_from_opset_13(check_operator: Check) -> None:
    check_operator("ReduceSum", {"x": (1, 3, 4, 5)}, {"axes": np.array([2, 3])}, opset=13)


@pytest.mark.parametrize("operator", REDUCTIONS)
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions_of_everything(check_operator: Check, operator: str, keep: int) -> None:
    check_operator(operator, {"x": (1, 3, 4)}, keepdims=keep, feeds={"x": values(operator, (1, 3, 4))})
    no_axes, feeds = {"axes": np.zeros(0, np.int64)}, {"x": values(operator, (2, 3, 4))}
    check_operator(operator, {"x": (2, 3, 4)}, no_axes, keepdims=keep, feeds=feeds)


def test_a_reduction_of_no_axes(check_operator: Check) -> None:
    check_operator("ReduceMean", {"x": (1, 3, 4)}, noop_with_empty_axes=1)


def test_a_reduction_of_axes_far_apart_is_refused(make_model: Check) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["a"]),
        helper.make_node("ReduceMean", ["a", "axes"], ["y"], name="the_node"),
    ]
    constants = {"shape": np.array([2, 2, 2, 2, 2]), "axes": np.array([0, 2, 4])}
    with pytest.raises(UnsupportedOperatorError, match=r"the_node.*ReduceMean, attribute axes"):
        convert_onnx(make_model(nodes, {"x": (4, 8)}, ["y"], constants))
