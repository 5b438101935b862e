"""Add, Mul and their like: scalars, constants of any rank, two activations, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.onnx2ncnn import convert_onnx

Check = Callable[..., Any]
Shape = tuple[int, ...]

OPERATORS = ["Add", "Sub", "Mul", "Div", "Max", "Min"]
CHANNELS = st.sampled_from([1, 2, 3, 4, 8, 12, 16])


@st.composite
def shapes(draw: st.DrawFn, min_rank: int = 2) -> Shape:
    """An ONNX shape of rank 2 to 5 with a batch of 1."""
    rest = draw(st.lists(st.integers(1, 6), min_size=min_rank - 2, max_size=3))
    return (1, draw(CHANNELS), *rest)


@st.composite
def broadcast_pairs(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """Two shapes that broadcast, each the larger one on some axes; the second may have fewer axes."""
    shape = draw(shapes())
    left, right = (tuple(1 if draw(st.booleans()) else size for size in shape) for _ in range(2))
    return left, right[draw(st.integers(0, len(right))) :]


def values(shape: Shape, seed: int = 1) -> np.ndarray:
    """Values away from zero, so that they can divide."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.3, 3, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


@given(
    operator=st.sampled_from(OPERATORS),
    shape=shapes(),
    ones=st.integers(0, 2),
    scalar=st.floats(0.125, 8, width=32),
    swap=st.booleans(),
)
def test_with_a_scalar(
    check_operator: Check, operator: str, shape: Shape, ones: int, scalar: float, swap: bool
) -> None:
    constant = np.full((1,) * ones, scalar, np.float32)
    order = ["c", "x"] if swap else ["x", "c"]
    check_operator(operator, {"x": shape}, {"c": constant}, order=order, feeds={"x": values(shape)})


@given(operator=st.sampled_from(OPERATORS), pair=broadcast_pairs(), swap=st.booleans())
def test_with_a_constant(check_operator: Check, operator: str, pair: tuple[Shape, Shape], swap: bool) -> None:
    shape, constant = pair
    order = ["c", "x"] if swap else ["x", "c"]
    check_operator(
        operator, {"x": shape}, {"c": values(constant, 2)}, order=order, feeds={"x": values(shape)}
    )


@given(operator=st.sampled_from(OPERATORS), pair=broadcast_pairs(), swap=st.booleans())
def test_of_two_activations(
    check_operator: Check, operator: str, pair: tuple[Shape, Shape], swap: bool
) -> None:
    first, second = pair
    second = second if len(second) == len(first) else (1, *(second or (1,)))
    feeds = {"x": values(first), "z": values(second, 2)}
    order = ["z", "x"] if swap else ["x", "z"]
    check_operator(operator, {"x": first, "z": second}, order=order, feeds=feeds)


@given(shape=shapes(), exponent=st.sampled_from([-1.0, 1.0, 2.0, 3.0]))
def test_pow_of_values_of_either_sign(check_operator: Check, shape: Shape, exponent: float) -> None:
    check_operator("Pow", {"x": shape}, {"c": np.float32(exponent)}, feeds={"x": values(shape)})


@given(shape=shapes(), exponent=st.sampled_from([-0.5, 0.5]))
def test_roots(check_operator: Check, shape: Shape, exponent: float) -> None:
    check_operator("Pow", {"x": shape}, {"c": np.float32(exponent)}, feeds={"x": np.abs(values(shape))})


def test_pow_of_zero(check_operator: Check) -> None:
    feeds = {"x": np.array([[0, 0, 2, -3, 0, 0, 0, 1, 0]], np.float32)}
    for exponent in (1.0, 2.0, 3.0):
        check_operator("Pow", {"x": (1, 9)}, {"c": np.float32(exponent)}, feeds=feeds)


@pytest.mark.parametrize("exponent", [0.0, 1.5, -2.0, 2.5])
def test_powers_that_ncnn_takes_by_logarithms_are_refused(check_refused: Check, exponent: float) -> None:
    check_refused("Pow", {"x": (1, 3)}, {"c": np.float32(exponent)})


@given(shape=shapes(), base=st.floats(0.25, 4, width=32))
def test_powers_of_a_positive_constant(check_operator: Check, shape: Shape, base: float) -> None:
    check_operator("Pow", {"x": shape}, {"c": np.float32(base)}, order=["c", "x"], feeds={"x": values(shape)})


def test_powers_of_a_constant_that_is_not_positive_are_refused(check_refused: Check) -> None:
    check_refused("Pow", {"x": (1, 3)}, {"c": np.float32(-2)}, order=["c", "x"])


def test_computed_exponents_are_refused(check_refused: Check) -> None:
    check_refused("Pow", {"x": (1, 3), "z": (1, 3)})
    check_refused("Pow", {"x": (1, 3)}, {"c": np.array([1, 2, 3], np.float32)})


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_activation_with_itself(check_operator: Check, operator: str) -> None:
    check_operator(operator, {"x": (1, 3, 4)}, order=["x", "x"], feeds={"x": values((1, 3, 4))})


@given(
    operator=st.sampled_from(["Sum", "Mean", "Max", "Min"]),
    pair=broadcast_pairs(),
    count=st.integers(1, 4),
    constant=st.booleans(),
)
def test_any_number_of_operands(
    check_operator: Check, operator: str, pair: tuple[Shape, Shape], count: int, constant: bool
) -> None:
    first, second = pair
    second = (1,) * (len(first) - len(second)) + second
    inputs = {f"x{i}": (first, second)[i % 2] for i in range(count)}
    check_operator(operator, inputs, {"c": values(second)} if constant else {})


@given(
    operator=st.sampled_from(OPERATORS),
    shape=shapes(min_rank=3),
    batch=st.integers(2, 3),
    swap=st.booleans(),
)
def test_a_constant_that_has_a_batch(
    check_operator: Check, operator: str, shape: Shape, batch: int, swap: bool
) -> None:
    constants = {"c": values((batch, *shape[1:]), 2)}
    order = ["c", "x"] if swap else ["x", "c"]
    check_operator(operator, {"x": shape}, constants, order=order, feeds={"x": values(shape)})


def test_a_scalar_that_adds_axes(check_operator: Check) -> None:
    check_operator("Add", {"x": (1, 3)}, {"c": np.ones((1, 1, 1), np.float32)})


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_a_scalar_that_a_param_file_can_not_hold_is_refused(check_refused: Check, value: str) -> None:
    check_refused("Add", {"x": (1, 3)}, {"c": np.float32(value)})


@st.composite
def conditions(draw: st.DrawFn) -> tuple[list[int], np.ndarray]:
    """A shape, and a condition for it, which may have fewer axes or axes of size 1."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    own = [1 if draw(st.booleans()) else size for size in shape][draw(st.integers(0, len(shape) - 1)) :]
    count = int(np.prod(own))
    held = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return shape, np.array(held).reshape(own)


@given(case=conditions(), constant=st.sampled_from(["neither", "first", "second"]))
def test_where(check_operator: Check, case: tuple[list[int], np.ndarray], constant: str) -> None:
    shape, condition = case
    names = {"first": "x", "second": "z"}
    constants: dict[str, np.ndarray] = {"c": condition}
    if constant in names:
        constants[names[constant]] = values(tuple(shape), 3)
    inputs = {name: shape for name in "xz" if name not in constants}
    check_operator("Where", inputs, constants, order=["c", "x", "z"])


def test_where_drops_infinities_of_rows_that_are_not_chosen(check_operator: Check) -> None:
    rows = np.array([[1, 2], [np.inf, np.nan], [3, 4]], np.float32)
    constants = {"c": np.array([[True], [False], [True]]), "z": np.zeros((3, 2), np.float32)}
    check_operator("Where", {"x": (3, 2)}, constants, order=["c", "x", "z"], feeds={"x": rows})


def test_where_of_a_computed_condition_is_refused(make_model: Check) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["b"], to=onnx.TensorProto.BOOL),
        helper.make_node("Where", ["b", "x", "z"], ["y"]),
    ]
    with pytest.raises(UnsupportedOperatorError, match="Cast"):
        convert_onnx(make_model(nodes, {"x": (2, 3), "z": (2, 3)}, ["y"]))


@given(pair=broadcast_pairs())
def test_expand(check_operator: Check, pair: tuple[Shape, Shape]) -> None:
    shape, other = pair
    check_operator("Expand", {"x": shape}, {"shape": np.array(other, np.int64)})
