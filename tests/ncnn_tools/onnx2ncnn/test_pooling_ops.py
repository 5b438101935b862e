"""Pooling and reductions, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

Check = Callable[..., Any]
Shape = tuple[int, ...]

CHANNELS = st.sampled_from([1, 3, 4, 8, 13, 16])
REDUCTIONS = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"]


@st.composite
def windows(draw: st.DrawFn) -> tuple[Shape, dict[str, Any]]:
    """Draw a feature map's shape and a pooling window over it, pads smaller than the window as ONNX demands."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    shape = (1, draw(CHANNELS), draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    pads = [draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4)]
    assume(all(shape[2 + i] + pads[i] + pads[i + 2] >= kernel[i] for i in range(2)))
    attributes: dict[str, Any] = {"kernel_shape": list(kernel), "pads": pads}
    if draw(st.booleans()):
        attributes["strides"] = list(draw(st.tuples(st.integers(1, 3), st.integers(1, 3))))
    return shape, attributes


@given(window=windows(), operator=st.sampled_from(["MaxPool", "AveragePool"]), include=st.booleans())
def test_pooling(
    check_operator: Check, window: tuple[Shape, dict[str, Any]], operator: str, include: bool
) -> None:
    shape, attributes = window
    if operator == "AveragePool":
        attributes["count_include_pad"] = int(include)
    check_operator(operator, {"x": shape}, **attributes)


@given(
    window=windows(),
    operator=st.sampled_from(["MaxPool", "AveragePool"]),
    opset=st.sampled_from([11, 18, 20]),
    include=st.booleans(),
)
def test_pooling_in_ceil_mode_is_exact_or_refused(
    refusal: Check, window: tuple[Shape, dict[str, Any]], operator: str, opset: int, include: bool
) -> None:
    shape, attributes = window
    if operator == "AveragePool":
        attributes["count_include_pad"] = int(include)
    error = refusal(operator, {"x": shape}, opset=opset, ceil_mode=1, **attributes)
    assert error is None or error.attribute in ("ceil_mode", "count_include_pad")


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("size", [(7, 7), (8, 8), (7, 8), (9, 6)])
def test_usual_ceil_mode(check_operator: Check, operator: str, size: tuple[int, int]) -> None:
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
    check_operator(operator, {"x": (1, 5, *size)}, **window)


def test_pooling_without_pads(check_operator: Check) -> None:
    check_operator("MaxPool", {"x": (1, 3, 7, 7)}, kernel_shape=[2, 2], auto_pad="VALID", storage_order=0)


def test_pooling_refusals(check_refused: Check) -> None:
    shapes = {"x": (1, 3, 8, 8)}
    square = {"kernel_shape": [2, 2]}
    check_refused("MaxPool", {"x": (1, 3, 8)}, attribute="kernel_shape", kernel_shape=[2])
    check_refused("MaxPool", {"x": (1, 3, 8, 8, 8)}, attribute="kernel_shape", kernel_shape=[2, 2, 2])
    check_refused("MaxPool", shapes, attribute="dilations", dilations=[2, 2], **square)
    check_refused("AveragePool", shapes, opset=19, attribute="dilations", dilations=[2, 2], **square)
    check_refused("MaxPool", shapes, attribute="auto_pad", auto_pad="SAME_UPPER", **square)
    check_refused("MaxPool", shapes, outputs=["y", "indices"], **square)


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
@given(channels=CHANNELS, size=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_global_pooling(check_operator: Check, operator: str, channels: int, size: tuple[int, int]) -> None:
    check_operator(operator, {"x": (1, channels, *size)})


def test_global_pooling_of_other_ranks_is_refused(check_refused: Check) -> None:
    check_refused("GlobalAveragePool", {"x": (1, 3, 8)})
    check_refused("GlobalMaxPool", {"x": (1, 3, 4, 4, 4)})


@st.composite
def reductions(draw: st.DrawFn) -> tuple[Shape, list[int]]:
    shape = (1, draw(CHANNELS), *draw(st.lists(st.integers(1, 6), max_size=3)))
    axes = draw(st.sets(st.integers(1, len(shape) - 1), min_size=1))
    return shape, [axis - draw(st.sampled_from([0, len(shape)])) for axis in axes]


@given(
    operator=st.sampled_from(REDUCTIONS),
    case=reductions(),
    keep=st.booleans(),
    opset=st.sampled_from([11, 18]),
)
def test_reductions(
    check_operator: Check, operator: str, case: tuple[Shape, list[int]], keep: bool, opset: int
) -> None:
    shape, axes = case
    assume(keep or len(axes) < len(shape) - 1)
    if opset == 18 or (operator == "ReduceSum" and opset >= 13):
        check_operator(operator, {"x": shape}, {"axes": np.array(axes)}, opset=opset, keepdims=int(keep))
    else:
        check_operator(operator, {"x": shape}, opset=opset, axes=axes, keepdims=int(keep))


def test_reduce_sum_takes_its_axes_as_an_input_from_opset_13(check_operator: Check) -> None:
    check_operator("ReduceSum", {"x": (1, 3, 4, 5)}, {"axes": np.array([2, 3])}, opset=13)


def test_reduction_refusals(check_refused: Check) -> None:
    shapes = {"x": (1, 3, 4)}
    check_refused("ReduceMean", shapes, attribute="axes")
    check_refused("ReduceMean", shapes, attribute="axes", noop_with_empty_axes=1)
    check_refused("ReduceMean", shapes, {"axes": np.array([0, 1])}, attribute="axes")
    check_refused("ReduceMean", shapes, {"axes": np.array([1, 2])}, attribute="keepdims", keepdims=0)
