"""BatchNormalization and its like, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import helper

from ncnn_tools.errors import InvalidModelError
from ncnn_tools.onnx2ncnn import convert_onnx

Check = Callable[..., Any]
Shape = tuple[int, ...]


SHAPES = st.one_of(
    st.tuples(st.just(1), st.sampled_from([1, 3, 4, 8, 13, 16])),
    st.tuples(st.just(1), st.sampled_from([1, 3, 4, 8, 16]), st.integers(1, 9)),
    st.tuples(st.just(1), st.sampled_from([1, 3, 4, 8, 12, 16]), st.integers(1, 6), st.integers(1, 9)),
    st.tuples(
        st.just(1), st.sampled_from([1, 3, 4, 8]), st.integers(1, 3), st.integers(1, 4), st.integers(1, 6)
    ),
)


def statistics(channels: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(channels)
    values = {name: rng.normal(0, 1, channels).astype(np.float32) for name in ("scale", "bias", "mean")}
    return {**values, "var": rng.uniform(0.1, 2, channels).astype(np.float32)}


@given(shape=SHAPES, epsilon=st.sampled_from([1e-5, 1e-3, 0.1]), opset=st.sampled_from([9, 14, 15, 18]))
def test_batch_normalization(
    check_operator: Check, shape: tuple[int, ...], epsilon: float, opset: int
) -> None:
    check_operator(
        "BatchNormalization", {"x": shape}, statistics(shape[1]), opset=opset, epsilon=epsilon, momentum=0.3
    )


def test_batch_normalization_in_training_mode_is_refused(check_refused: Check) -> None:
    check_refused(
        "BatchNormalization",
        {"x": (1, 3, 4, 4)},
        statistics(3),
        outputs=["y", "mean_out", "var_out"],
        attribute="training_mode",
        training_mode=1,
    )


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


MAPS = st.tuples(st.just(1), st.sampled_from([1, 3, 4, 8, 12]), st.integers(1, 6), st.integers(1, 6))


@given(shape=MAPS | MAPS.map(lambda shape: shape[:3]), epsilon=st.sampled_from([1e-5, 0.1]))
def test_instance_normalization(check_operator: Check, shape: Shape, epsilon: float) -> None:
    constants = {"scale": normal(shape[1]), "bias": normal(shape[1], seed=1)}
    check_operator("InstanceNormalization", {"x": shape}, constants, epsilon=epsilon)


@given(
    groups=st.sampled_from([1, 2, 4]),
    each=st.sampled_from([1, 2, 3]),
    size=st.lists(st.integers(1, 6), min_size=1, max_size=2),
)
def test_group_normalization(check_operator: Check, groups: int, each: int, size: list[int]) -> None:
    channels = groups * each
    constants = {"scale": normal(channels), "bias": normal(channels, seed=1)}
    shape = (1, channels, *size)
    check_operator("GroupNormalization", {"x": shape}, constants, opset=21, num_groups=groups)


def test_group_normalization_of_one_value_a_group_is_no_valid_onnx(make_model: Check) -> None:
    # Opset 18 had it so, and it was deprecated at once.
    node = helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)
    constants = {"s": normal(2), "b": normal(2)}
    with pytest.raises(InvalidModelError, match="deprecated"):
        convert_onnx(make_model([node], {"x": (1, 4, 3, 3)}, ["y"], constants, opset=18))


@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    data=st.data(),
    bias=st.booleans(),
    epsilon=st.sampled_from([1e-5, 0.1]),
)
def test_layer_normalization(
    check_operator: Check, shape: list[int], data: st.DataObject, bias: bool, epsilon: float
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = shape[axis:] if data.draw(st.booleans()) else [1]
    constants = {"scale": normal(*sizes)}
    if bias:
        constants["bias"] = normal(*sizes, seed=1)
    check_operator("LayerNormalization", {"x": shape}, constants, axis=axis, epsilon=epsilon)


@given(shape=st.lists(st.integers(1, 7), min_size=1, max_size=4), data=st.data())
def test_rms_normalization(check_operator: Check, shape: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check_operator("RMSNormalization", {"x": shape}, {"scale": normal(*shape[axis:])}, opset=23, axis=axis)


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4), data=st.data(), order=st.sampled_from([1, 2])
)
def test_lp_normalization(check_operator: Check, shape: list[int], data: st.DataObject, order: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check_operator("LpNormalization", {"x": shape}, axis=axis, p=order)


@given(shape=MAPS, axes=st.sampled_from([None, [0, 2, 3], [2, 3], [0, 1, 2, 3], [-1, -2, -3]]))
def test_mean_variance_normalization(check_operator: Check, shape: Shape, axes: list[int] | None) -> None:
    assume(shape[2] * shape[3] > 1)  # of a single value onnxruntime divides 0 by about 0
    attributes = {} if axes is None else {"axes": axes}
    check_operator("MeanVarianceNormalization", {"x": shape}, **attributes)


@given(
    shape=MAPS,
    size=st.sampled_from([1, 3, 5, 7]),
    alpha=st.floats(1e-4, 1),
    beta=st.floats(0.25, 2),
    bias=st.floats(0.5, 2),
)
def test_lrn(check_operator: Check, shape: Shape, size: int, alpha: float, beta: float, bias: float) -> None:
    check_operator("LRN", {"x": shape}, size=size, alpha=alpha, beta=beta, bias=bias)


def test_batches(check_operator: Check) -> None:
    constants = {"scale": normal(4), "bias": normal(4, seed=1)}
    check_operator("InstanceNormalization", {"x": (3, 4, 5, 2)}, constants)
    check_operator("GroupNormalization", {"x": (3, 4, 5, 2)}, constants, opset=21, num_groups=2)


@pytest.mark.parametrize("axis", [-1, 1])
def test_layer_normalization_with_its_mean_and_deviation(check_operator: Check, axis: int) -> None:
    shape = (2, 3, 4)
    constants = {"scale": normal(*shape[axis:]), "bias": normal(*shape[axis:], seed=1)}
    check_operator("LayerNormalization", {"x": shape}, constants, axis=axis, outputs=["y", "mean", "inverse"])


@pytest.mark.parametrize("order", [1, 2])
def test_values_that_are_all_zero_stay_zero(check_operator: Check, order: int) -> None:
    values = normal(3, 4) * (np.arange(3) > 0)[:, None].astype(np.float32)
    check_operator("LpNormalization", {"x": (3, 4)}, p=order, feeds={"x": values})


def test_normalizations_that_ncnn_does_not_have_are_refused(check_refused: Check) -> None:
    shapes = {"x": (1, 4, 3, 3)}
    check_refused("LRN", shapes, attribute="size", size=4)
    check_refused("MeanVarianceNormalization", shapes, attribute="axes", axes=[3])
    check_refused("LayerNormalization", {**shapes, "scale": (3,)})
    check_refused("InstanceNormalization", {**shapes, "scale": (4,)}, {"bias": normal(4)})
