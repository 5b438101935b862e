"""Operators that join and cut tensors, against onnxruntime."""

from __future__ import annotations

import math
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

CHANNELS = st.sampled_from([1, 2, 3, 4, 8, 12, 16])


@st.composite
def shapes(draw: st.DrawFn, min_rank: int = 2, max_rank: int = 5) -> Shape:
    rest = draw(st.lists(st.integers(1, 8), min_size=min_rank - 2, max_size=max_rank - 2))
    return (1, draw(CHANNELS), *rest)


@st.composite
def shapes_with_axis(draw: st.DrawFn) -> tuple[Shape, int]:
    shape = draw(shapes())
    return shape, draw(st.integers(1, len(shape) - 1))


def normal(shape: Shape, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@given(
    case=shapes_with_axis(),
    sizes=st.lists(st.sampled_from([1, 3, 4, 8]), min_size=1, max_size=3),
    constant=st.booleans(),
    negative=st.booleans(),
)
def test_concat(
    check_operator: Check, case: tuple[Shape, int], sizes: list[int], constant: bool, negative: bool
) -> None:
    shape, axis = case
    inputs = {f"x{i}": (*shape[:axis], size, *shape[axis + 1 :]) for i, size in enumerate(sizes)}
    constants = {"c": normal(shape)} if constant else {}
    check_operator("Concat", inputs, constants, axis=axis - len(shape) if negative else axis)


def test_concat_of_one_tensor_thrice(check_operator: Check) -> None:
    check_operator("Concat", {"x": (1, 3, 4, 4)}, order=["x", "x", "x"], axis=1)


@pytest.mark.parametrize("batches", [(1, 1), (1, 2), (2, 3, 1)])
@pytest.mark.parametrize("rest", [(), (3,), (3, 4), (2, 3, 4)])
def test_concat_along_the_first_axis(check_operator: Check, batches: Shape, rest: Shape) -> None:
    check_operator("Concat", {f"x{i}": (size, *rest) for i, size in enumerate(batches)}, axis=0)


@given(
    case=shapes_with_axis(),
    sizes=st.lists(st.sampled_from([1, 2, 3, 4, 8]), min_size=1, max_size=4),
    opset=st.sampled_from([11, 13, 18]),
    negative=st.booleans(),
)
def test_split_into_given_sizes(
    check_operator: Check, case: tuple[Shape, int], sizes: list[int], opset: int, negative: bool
) -> None:
    shape, axis = case
    inputs = {"x": (*shape[:axis], sum(sizes), *shape[axis + 1 :])}
    options = {
        "axis": axis - len(shape) if negative else axis,
        "outputs": [f"y{i}" for i in range(len(sizes))],
        "opset": opset,
    }
    if opset < 13:
        check_operator("Split", inputs, split=sizes, **options)
    else:
        check_operator("Split", inputs, {"split": np.array(sizes)}, **options)


@pytest.mark.parametrize("channels", [6, 7, 8])
def test_split_into_a_number_of_parts(check_operator: Check, channels: int) -> None:
    outputs = ["y0", "y1", "y2"]
    check_operator("Split", {"x": (1, channels, 3, 4)}, outputs=outputs, axis=1, num_outputs=3)
    if channels % 3 == 0:
        check_operator("Split", {"x": (1, channels, 3, 4)}, outputs=outputs, opset=13, axis=1)


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("rest", [(), (3,), (3, 4), (2, 3, 4)])
def test_split_along_the_first_axis(check_operator: Check, parts: int, rest: Shape) -> None:
    outputs = [f"y{i}" for i in range(parts)]
    check_operator("Split", {"x": (parts, *rest)}, outputs=outputs, num_outputs=parts)


@given(data=st.data(), shape=shapes(), opset=st.sampled_from([9, 13, 18]))
def test_slice(check_operator: Check, data: st.DataObject, shape: Shape, opset: int) -> None:
    axes = sorted(data.draw(st.sets(st.integers(1, len(shape) - 1), min_size=1)))
    starts, ends = [], []
    for axis in axes:
        start = data.draw(st.integers(0, shape[axis] - 1))
        end = data.draw(st.integers(start + 1, shape[axis]))
        starts.append(start - data.draw(st.sampled_from([0, shape[axis]])))
        far = [end, 2**31] if end == shape[axis] else [end, end - shape[axis]]
        ends.append(data.draw(st.sampled_from(far)))
    axes = [axis - data.draw(st.sampled_from([0, len(shape)])) for axis in axes]
    if opset < 10:
        axes = [axis % len(shape) for axis in axes]
        check_operator("Slice", {"x": shape}, opset=opset, starts=starts, ends=ends, axes=axes)
        return
    bounds = {"starts": np.array(starts), "ends": np.array(ends), "axes": np.array(axes)}
    if data.draw(st.booleans()):
        bounds["steps"] = np.ones(len(axes), np.int64)
    check_operator("Slice", {"x": shape}, bounds, opset=opset)


def bounds_of(starts: list[int], ends: list[int], **more: list[int]) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in {"starts": starts, "ends": ends, **more}.items()}


def test_slice_without_axes_cuts_the_first_ones(check_operator: Check) -> None:
    check_operator("Slice", {"x": (1, 5, 6)}, bounds_of([0, 1], [1, 3]))
    check_operator("Slice", {"x": (2, 5, 6)}, bounds_of([-1, 1, 0], [2, 3, 2]))


@given(data=st.data(), shape=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_slice_with_steps(check_operator: Check, data: st.DataObject, shape: list[int]) -> None:
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    starts, ends, steps = [], [], []
    for axis in axes:
        size, step = shape[axis], data.draw(st.sampled_from([-3, -2, -1, 1, 2, 3]))
        first, last = sorted(data.draw(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))))
        steps.append(step)
        starts.append(first if step > 0 else last)
        ends.append(last + 1 if step > 0 else [first - 1, -(2**63)][first == 0])
    check_operator("Slice", {"x": shape}, bounds_of(starts, ends, axes=axes, steps=steps))


def test_slice_refusals(check_refused: Check) -> None:
    shapes = {"x": (1, 6, 6)}
    check_refused("Slice", shapes, bounds_of([3], [3], axes=[1]), attribute="ends")
    check_refused("Slice", {"x": (1, 200)}, bounds_of([0], [198], axes=[1], steps=[2]))
    check_refused(
        "Slice", {**shapes, "s": (1, 1)}, bounds_of([], [3]), order=["x", "s", "ends"], attribute="starts"
    )


@given(case=shapes_with_axis(), data=st.data(), index_rank=st.integers(0, 2))
def test_gather_of_one_index(
    check_operator: Check, case: tuple[Shape, int], data: st.DataObject, index_rank: int
) -> None:
    shape, axis = case
    assume(1 <= len(shape) - 1 + index_rank - 1 <= 4)
    index = data.draw(st.integers(-shape[axis], shape[axis] - 1))
    constants = {"i": np.full((1,) * index_rank, index)}
    check_operator("Gather", {"x": shape}, constants, axis=axis - data.draw(st.sampled_from([0, len(shape)])))


@given(
    data=st.data(),
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    index_shape=st.sampled_from([(), (1,), (3,), (2, 2)]),
)
def test_gather_of_several_indices(
    check_operator: Check, data: st.DataObject, shape: list[int], index_shape: Shape
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    assume(len(shape) - 1 + len(index_shape) <= 4)
    count = math.prod(index_shape)
    drawn = data.draw(st.lists(st.integers(-shape[axis], shape[axis] - 1), min_size=count, max_size=count))
    check_operator("Gather", {"x": shape}, {"i": np.array(drawn, np.int64).reshape(index_shape)}, axis=axis)


def test_gather_refusals(check_refused: Check) -> None:
    check_refused("Gather", {"x": (1, 4)}, {"i": np.array([4])}, attribute="indices", axis=1)
    check_refused("Gather", {"x": (1, 200)}, {"i": np.arange(0, 198, 2)}, axis=1)


@pytest.mark.parametrize(("start", "step"), [(0, 2), (1, 2), (2, 3), (0, 4)])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_every_so_many_values_of_an_axis_are_one_crop(
    check_operator: Check, start: int, step: int, axis: int
) -> None:
    bounds = bounds_of([start], [200], axes=[axis], steps=[step])
    graph = check_operator("Slice", {"x": (1, 12, 24, 12)}, bounds)
    assert [layer.type for layer in graph.layers].count("Crop") == 1


@pytest.mark.parametrize(
    ("operator", "outputs", "constants"),
    [
        ("Reshape", ["y"], {"shape": np.array([1, 3, 8])}),
        ("Split", ["y", "z"], {"split": np.array([2, 4])}),
    ],
)
def test_shapes_of_the_model_that_contradict_the_node_are_refused(
    make_model: Check, operator: str, outputs: list[str], constants: dict[str, np.ndarray]
) -> None:
    attributes = {"axis": 1} if operator == "Split" else {}
    node = helper.make_node(operator, ["x", *constants], outputs, name="the_node", **attributes)
    model = make_model([node], {"x": (1, 6, 4)}, outputs, constants)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 5
    with pytest.raises(UnsupportedOperatorError, match=f"the_node.*{operator}.*the model says"):
        convert_onnx(model)


@given(shape=st.lists(st.integers(1, 6), min_size=1, max_size=4), data=st.data(), reverse=st.booleans())
def test_cumulative_sum(check_operator: Check, shape: list[int], data: st.DataObject, reverse: bool) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check_operator("CumSum", {"x": shape}, {"axis": np.array(axis)}, reverse=int(reverse))


def test_a_cumulative_sum_without_each_value_is_refused(check_refused: Check) -> None:
    check_refused("CumSum", {"x": (3, 4)}, {"axis": np.array(1)}, attribute="exclusive", exclusive=1)


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_tile(check_operator: Check, shape: list[int], data: st.DataObject) -> None:
    repeats = [data.draw(st.integers(1, 3)) for _ in shape]
    check_operator("Tile", {"x": shape}, {"repeats": np.array(repeats)})


def test_a_reversed_axis_is_one_flip(check_operator: Check) -> None:
    graph = check_operator("Slice", {"x": (1, 3, 4, 5)}, bounds_of([-1], [-(2**63)], axes=[2], steps=[-1]))
    assert [layer.type for layer in graph.layers if layer.type in ("Crop", "Flip", "Concat")] == ["Flip"]
