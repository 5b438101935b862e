"""Activations, Softmax and unary operators, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

Check = Callable[..., Any]

SHAPES = st.one_of(
    st.tuples(st.just(1), st.sampled_from([1, 3, 4, 8, 13, 16])),
    st.tuples(st.just(1), st.sampled_from([1, 3, 4, 8, 16]), st.integers(1, 9)),
    st.tuples(st.just(1), st.sampled_from([1, 3, 4, 8, 12, 16]), st.integers(1, 6), st.integers(1, 9)),
    st.tuples(
        st.just(1), st.sampled_from([1, 3, 4, 8]), st.integers(1, 3), st.integers(1, 4), st.integers(1, 6)
    ),
)
FACTORS = st.floats(-2, 2, width=32)


def positive(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.1, 4, shape).astype(np.float32)


@given(
    operator=st.sampled_from(
        [
            *("Abs", "Neg", "Floor", "Ceil", "Round", "Sign", "Exp", "Sin", "Cos", "Atan", "Tanh", "Asinh"),
            *("Sinh", "Cosh", "Erf", "Relu", "Sigmoid", "Softplus", "Softsign", "Mish", "HardSwish"),
        ]
    ),
    shape=SHAPES,
)
def test_pointwise_operators(check_operator: Check, operator: str, shape: tuple[int, ...]) -> None:
    check_operator(operator, {"x": shape})


@given(operator=st.sampled_from(["Asin", "Acos", "Atanh", "Tan"]), shape=SHAPES)
def test_pointwise_operators_of_small_values(
    check_operator: Check, operator: str, shape: tuple[int, ...]
) -> None:
    values = np.random.default_rng(0).uniform(-0.95, 0.95, shape).astype(np.float32)
    check_operator(operator, {"x": shape}, feeds={"x": values})


@given(shape=SHAPES)
def test_acosh(check_operator: Check, shape: tuple[int, ...]) -> None:
    check_operator("Acosh", {"x": shape}, feeds={"x": 1 + positive(shape)})


@pytest.mark.parametrize("operator", ["Round", "Floor", "Ceil", "Sign", "Relu", "HardSigmoid", "Shrink"])
def test_values_on_the_steps(check_operator: Check, operator: str) -> None:
    values = np.array([[-2.5, -2, -1.5, -1, -0.5, -0.0, 0, 0.5, 1, 1.5, 2, 2.5, 3.5]], np.float32)
    check_operator(operator, {"x": values.shape}, feeds={"x": values})


@given(shape=SHAPES, bias=FACTORS, lambd=st.floats(0, 2, width=32))
def test_shrink(check_operator: Check, shape: tuple[int, ...], bias: float, lambd: float) -> None:
    check_operator("Shrink", {"x": shape}, bias=bias, lambd=lambd)


@given(shape=SHAPES, alpha=FACTORS)
def test_elu_and_its_like(check_operator: Check, shape: tuple[int, ...], alpha: float) -> None:
    check_operator("Elu", {"x": shape}, alpha=alpha)
    check_operator("ThresholdedRelu", {"x": shape}, alpha=alpha)
    check_operator("Selu", {"x": shape}, alpha=alpha, gamma=1.5)
    check_operator("Celu", {"x": shape}, alpha=abs(alpha) + 0.25)


@pytest.mark.parametrize("operator", ["Elu", "Celu", "Selu", "ThresholdedRelu", "Shrink"])
def test_the_defaults_of_elu_and_its_like(check_operator: Check, operator: str) -> None:
    check_operator(operator, {"x": (1, 3, 4)})


@given(shape=SHAPES, approximate=st.sampled_from(["none", "tanh"]))
def test_gelu(check_operator: Check, shape: tuple[int, ...], approximate: str) -> None:
    check_operator("Gelu", {"x": shape}, opset=20, approximate=approximate)


@given(shape=SHAPES, alpha=st.none() | FACTORS)
def test_swish(check_operator: Check, shape: tuple[int, ...], alpha: float | None) -> None:
    check_operator("Swish", {"x": shape}, opset=24, **({} if alpha is None else {"alpha": alpha}))


@given(operator=st.sampled_from(["Sqrt", "Log", "Reciprocal"]), shape=SHAPES)
def test_pointwise_operators_of_positive_values(
    check_operator: Check, operator: str, shape: tuple[int, ...]
) -> None:
    check_operator(operator, {"x": shape}, feeds={"x": positive(shape)})


@given(shape=SHAPES, alpha=FACTORS)
def test_leaky_relu(check_operator: Check, shape: tuple[int, ...], alpha: float) -> None:
    check_operator("LeakyRelu", {"x": shape}, alpha=alpha)


@given(shape=SHAPES, alpha=st.floats(1e-3, 2), beta=FACTORS)
def test_hard_sigmoid(check_operator: Check, shape: tuple[int, ...], alpha: float, beta: float) -> None:
    check_operator("HardSigmoid", {"x": shape}, alpha=alpha, beta=beta)


@pytest.mark.parametrize("alpha", [0.0, -0.5, 1e-40])
def test_hard_sigmoid_that_does_not_rise_is_refused(check_refused: Check, alpha: float) -> None:
    check_refused("HardSigmoid", {"x": (1, 3)}, attribute="alpha", alpha=alpha)


@pytest.mark.parametrize("operator", ["LeakyRelu", "HardSigmoid"])
def test_default_attributes(check_operator: Check, operator: str) -> None:
    check_operator(operator, {"x": (1, 5, 4, 3)})


@given(shape=SHAPES)
def test_hard_swish(check_operator: Check, shape: tuple[int, ...]) -> None:
    check_operator("HardSwish", {"x": shape})


@given(shape=SHAPES, low=st.none() | FACTORS, span=st.none() | st.floats(0, 3, width=32))
def test_clip_with_bounds_as_inputs(
    check_operator: Check, shape: tuple[int, ...], low: float | None, span: float | None
) -> None:
    constants = {}
    if low is not None:
        constants["low"] = np.float32(low)
    if span is not None:
        constants["high"] = np.float32((low or 0) + span)
    order = ["x", "low" if low is not None else "", "high" if span is not None else ""]
    check_operator("Clip", {"x": shape}, constants, order=order, opset=13)


def test_clip_with_infinite_bounds(check_operator: Check) -> None:
    bounds = {"low": np.float32("-inf"), "high": np.float32("inf")}
    check_operator("Clip", {"x": (1, 3, 4)}, bounds)


def test_clip_with_bounds_as_attributes(check_operator: Check) -> None:
    check_operator("Clip", {"x": (1, 3, 4, 4)}, opset=10, min=-0.5, max=0.75)


def test_clip_with_computed_bounds_is_refused(check_refused: Check) -> None:
    check_refused("Clip", {"x": (1, 3, 4), "low": (1, 1)}, attribute="min")


@given(shape=SHAPES, per_channel=st.booleans())
def test_prelu(check_operator: Check, shape: tuple[int, ...], per_channel: bool) -> None:
    slopes = (shape[1] if per_channel else 1, *(1 for _ in shape[2:]))
    slope = np.random.default_rng(0).normal(0, 1, slopes).astype(np.float32)
    check_operator("PRelu", {"x": shape}, {"slope": slope})


def test_prelu_with_a_slope_of_one_axis_means_the_last(check_operator: Check) -> None:
    slope = np.arange(5, dtype=np.float32)
    check_operator("PRelu", {"x": (1, 5)}, {"slope": slope})
    check_operator("PRelu", {"x": (1, 5, 5, 5)}, {"slope": slope})


@given(shape=SHAPES, data=st.data())
def test_prelu_with_a_slope_of_any_shape(
    check_operator: Check, shape: tuple[int, ...], data: st.DataObject
) -> None:
    kept = [data.draw(st.booleans()) for _ in shape]
    slope = tuple(size if keep else 1 for size, keep in zip(shape, kept, strict=True))
    slope = slope[data.draw(st.integers(0, len(slope))) :]
    values = np.random.default_rng(0).normal(0, 1, slope).astype(np.float32)
    check_operator("PRelu", {"x": shape}, {"slope": values})


def test_prelu_with_a_computed_slope(check_operator: Check) -> None:
    check_operator("PRelu", {"x": (1, 3, 4, 5), "slope": (1, 3, 1, 1)})
    check_operator("PRelu", {"x": (2, 3, 4), "slope": (4,)})


@given(data=st.data(), shape=SHAPES, opset=st.sampled_from([13, 18]))
def test_softmax(check_operator: Check, data: st.DataObject, shape: tuple[int, ...], opset: int) -> None:
    axis = data.draw(st.integers(1, len(shape) - 1))
    axis -= data.draw(st.sampled_from([0, len(shape)]))
    check_operator("Softmax", {"x": shape}, opset=opset, axis=axis)


def test_softmax_takes_the_last_axis_by_default(check_operator: Check) -> None:
    check_operator("Softmax", {"x": (1, 3, 4, 5)})


def test_softmax_over_the_first_axis(check_operator: Check) -> None:
    check_operator("Softmax", {"x": (1, 3)}, axis=0)
    check_operator("Softmax", {"x": (4, 3, 2)}, axis=0)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 7, 1), (2, 3, 4)])
def test_softmax_before_opset_13_runs_over_the_last_axes(
    check_operator: Check, shape: tuple[int, ...], axis: int
) -> None:
    check_operator("Softmax", {"x": shape}, opset=11, axis=axis)
    check_operator("Softmax", {"x": shape}, opset=11)


@given(data=st.data(), shape=SHAPES)
def test_log_softmax(check_operator: Check, data: st.DataObject, shape: tuple[int, ...]) -> None:
    check_operator("LogSoftmax", {"x": shape}, axis=data.draw(st.integers(-len(shape), len(shape) - 1)))


@pytest.mark.parametrize("to", [TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT16])
def test_casts_that_change_values_are_refused(check_refused: Check, to: int) -> None:
    check_refused("Cast", {"x": (1, 3)}, attribute="to", to=to)


@pytest.mark.parametrize(("operator", "opset"), [("Identity", 18), ("Dropout", 11), ("Dropout", 18)])
def test_identities(check_operator: Check, operator: str, opset: int) -> None:
    check_operator(operator, {"x": (1, 3, 4, 5)}, opset=opset)


def test_the_mask_of_dropout_is_refused(check_refused: Check) -> None:
    check_refused("Dropout", {"x": (1, 3, 4)}, outputs=["y", "mask"])
