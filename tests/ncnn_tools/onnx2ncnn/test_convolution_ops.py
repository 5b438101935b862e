"""Conv and ConvTranspose, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

Check = Callable[..., Any]

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


class Case(NamedTuple):
    shape: tuple[int, int, int, int]
    constants: dict[str, np.ndarray]
    attributes: dict[str, Any]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@st.composite
def channels(draw: st.DrawFn) -> tuple[int, int, int]:
    """Draw input channels, output channels and groups: plain, depthwise (with a multiplier) or grouped."""
    kind = draw(st.sampled_from(["plain", "depthwise", "grouped"]))
    if kind == "plain":
        return draw(st.sampled_from([1, 3, 4, 8, 13, 16])), draw(st.sampled_from([1, 2, 4, 7, 8, 16])), 1
    if kind == "depthwise":
        count = draw(st.sampled_from([2, 3, 4, 8, 16]))
        return count, count * draw(st.sampled_from([1, 1, 2])), count
    groups = draw(st.sampled_from([2, 3, 4]))
    inputs, outputs = (draw(st.sampled_from([1, 2, 4, 8])) * groups for _ in range(2))
    return inputs, outputs, groups


@st.composite
def convolutions(draw: st.DrawFn, transposed: bool = False) -> Case:
    inputs, outputs, groups = draw(channels())
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (3, 2), (4, 4)]))
    size = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    weight = (inputs, outputs // groups, *kernel) if transposed else (outputs, inputs // groups, *kernel)
    constants = {"w": normal(*weight)}
    if draw(st.booleans()):
        constants["b"] = normal(outputs, seed=1)
    attributes: dict[str, Any] = {"group": groups}
    if draw(st.booleans()):
        attributes["strides"] = list(draw(PAIRS))
    if draw(st.booleans()):
        attributes["dilations"] = list(draw(PAIRS))
    if draw(st.booleans()):
        attributes["kernel_shape"] = list(kernel)
    return Case((1, inputs, *size), constants, attributes)


def extents(case: Case) -> list[int]:
    kernel, dilations = case.constants["w"].shape[2:], case.attributes.get("dilations", [1, 1])
    return [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]


@given(case=convolutions(), pads=st.none() | st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_conv_with_explicit_pads(check_operator: Check, case: Case, pads: list[int] | None) -> None:
    top, left, bottom, right = pads or [0] * 4
    height, width = extents(case)
    assume(case.shape[2] + top + bottom >= height and case.shape[3] + left + right >= width)
    attributes = case.attributes if pads is None else {**case.attributes, "pads": pads}
    check_operator("Conv", {"x": case.shape}, case.constants, **attributes)


@given(case=convolutions(), mode=st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
def test_conv_with_automatic_pads(check_operator: Check, case: Case, mode: str) -> None:
    case.attributes.pop("dilations", None)  # onnxruntime has no automatic pads with dilation
    check_operator("Conv", {"x": case.shape}, case.constants, auto_pad=mode, **case.attributes)


def test_conv_without_pads(check_operator: Check) -> None:
    check_operator("Conv", {"x": (1, 3, 7, 7)}, {"w": normal(4, 3, 3, 3)}, auto_pad="VALID")


def test_conv_refusals(check_refused: Check) -> None:
    weight = {"w": normal(4, 3, 3, 3)}
    check_refused("Conv", {"x": (1, 3, 7, 7, 7)}, {"w": normal(4, 3, 3, 3, 3)}, attribute="kernel_shape")
    check_refused("Conv", {"x": (1, 3, 7, 7), "w": (1, 3, 3, 3)})
    check_refused("Conv", {"x": (1, 3, 7, 7), "b": (1, 4)}, weight, order=["x", "w", "b"])
    check_refused("Conv", {"x": (1, 3, 7, 7)}, weight, attribute="pads", pads=[-1, 0, 0, 0])


@given(
    case=convolutions(transposed=True),
    pads=st.none() | st.lists(st.integers(0, 2), min_size=4, max_size=4),
    extra=st.none() | PAIRS,
)
def test_conv_transpose(
    check_operator: Check, case: Case, pads: list[int] | None, extra: tuple[int, int] | None
) -> None:
    attributes = dict(case.attributes)
    strides = attributes.get("strides", [1, 1])
    added = [0, 0]
    if extra is not None:  # onnxruntime wants output_padding below the stride
        added = [min(wish, stride - 1) for wish, stride in zip(extra, strides, strict=True)]
        attributes["output_padding"] = added
    if pads is not None:
        attributes["pads"] = pads
    top, left, bottom, right = pads or [0] * 4
    heights = (case.shape[2] - 1) * strides[0] + extents(case)[0] + added[0] - top - bottom
    widths = (case.shape[3] - 1) * strides[1] + extents(case)[1] + added[1] - left - right
    assume(heights >= 1 and widths >= 1)
    check_operator("ConvTranspose", {"x": case.shape}, case.constants, **attributes)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("strides", [[1, 1], [2, 2], [3, 1]])
def test_conv_transpose_with_automatic_pads(check_operator: Check, mode: str, strides: list[int]) -> None:
    weight = {"w": normal(3, 4, 3, 4)}
    check_operator("ConvTranspose", {"x": (1, 3, 7, 6)}, weight, auto_pad=mode, strides=strides)


@pytest.mark.parametrize("mode", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("size", [[15, 15], [14, 13], [13, 16]])
def test_conv_transpose_to_a_given_size(check_operator: Check, mode: str, size: list[int]) -> None:
    check_operator(
        "ConvTranspose",
        {"x": (1, 3, 7, 7)},
        {"w": normal(3, 4, 3, 3)},
        output_shape=size,
        strides=[2, 2],
        auto_pad=mode,
    )


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("group", [1, 2, 4])
def test_of_sequences(check_operator: Check, operator: str, group: int) -> None:
    transposed = operator == "ConvTranspose"
    constants = {"w": normal(4, 8 // group if transposed else 4 // group, 3)}
    attributes = {"strides": [2], "pads": [1, 2], "dilations": [2], "group": group}
    check_operator(operator, {"x": (1, 4, 9)}, constants, **attributes)


def test_conv_transpose_refusals(check_refused: Check) -> None:
    shapes, weight = {"x": (1, 3, 7, 7)}, {"w": normal(3, 4, 3, 3)}
    check_refused("ConvTranspose", {**shapes, "w": (3, 4, 3, 3)})
    check_refused("ConvTranspose", {"x": (2, 3, 7, 7)}, weight)
