"""Pooling, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

Check = Callable[..., Any]
Shape = tuple[int, ...]

CHANNELS = st.sampled_from([1, 3, 4, 8, 13, 16])


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


@given(
    channels=CHANNELS,
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    operator=st.sampled_from(["MaxPool", "AveragePool"]),
    mode=st.sampled_from(["SAME_UPPER", "SAME_LOWER"]),
)
def test_pooling_with_automatic_pads(
    check_operator: Check, channels: int, size: Shape, kernel: Shape, strides: Shape, operator: str, mode: str
) -> None:
    # onnxruntime refuses strides beyond the kernel with automatic pads.
    strides = tuple(min(pair) for pair in zip(strides, kernel, strict=True))
    window = {"kernel_shape": kernel, "strides": strides, "auto_pad": mode}
    check_operator(operator, {"x": (1, channels, *size)}, **window)


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("window", [{}, {"strides": [2], "pads": [1, 1]}, {"strides": [3], "ceil_mode": 1}])
def test_pooling_of_sequences(check_operator: Check, operator: str, window: dict[str, Any]) -> None:
    check_operator(operator, {"x": (1, 3, 11)}, kernel_shape=[3], **window)


def test_pooling_refusals(check_refused: Check) -> None:
    shapes = {"x": (1, 3, 8, 8)}
    square = {"kernel_shape": [2, 2]}
    check_refused("MaxPool", {"x": (1, 3, 8, 8, 8)}, kernel_shape=[2, 2, 2])
    check_refused("MaxPool", shapes, attribute="dilations", dilations=[2, 2], **square)
    check_refused("AveragePool", shapes, opset=19, attribute="dilations", dilations=[2, 2], **square)
    check_refused("MaxPool", shapes, outputs=["y", "indices"], **square)


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
@given(channels=CHANNELS, size=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_global_pooling(check_operator: Check, operator: str, channels: int, size: tuple[int, int]) -> None:
    check_operator(operator, {"x": (1, channels, *size)})


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pooling_of_sequences(check_operator: Check, operator: str) -> None:
    check_operator(operator, {"x": (1, 3, 8)})


def test_global_pooling_of_volumes_is_refused(check_refused: Check) -> None:
    check_refused("GlobalAveragePool", {"x": (1, 3, 4, 4, 4)})
    check_refused("GlobalMaxPool", {"x": (1, 3, 4, 4, 4)})


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_pooling_of_batches(check_operator: Check, operator: str) -> None:
    check_operator(operator, {"x": (3, 2, 7, 8)}, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])
    check_operator(f"Global{operator}", {"x": (3, 2, 7, 8)})


@given(window=windows(), order=st.integers(1, 2), ceil=st.booleans())
def test_lp_pooling(refusal: Check, window: tuple[Shape, dict[str, Any]], order: int, ceil: bool) -> None:
    shape, attributes = window
    error = refusal("LpPool", {"x": shape}, p=order, ceil_mode=int(ceil), **attributes)
    assert error is None or error.attribute == "ceil_mode"


@given(channels=CHANNELS, size=st.tuples(st.integers(1, 9), st.integers(1, 9)), order=st.integers(1, 2))
def test_global_lp_pooling(check_operator: Check, channels: int, size: tuple[int, int], order: int) -> None:
    check_operator("GlobalLpPool", {"x": (2, channels, *size)}, p=order)


def test_other_orders_are_refused(check_refused: Check) -> None:
    check_refused("LpPool", {"x": (1, 3, 4, 4)}, attribute="p", p=3, kernel_shape=[2, 2])
    check_refused("GlobalLpPool", {"x": (1, 3, 4, 4)}, attribute="p", p=3)
