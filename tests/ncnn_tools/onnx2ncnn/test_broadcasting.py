"""Broadcasting: any two or three shapes of up to six axes, through views, against onnxruntime."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.onnx2ncnn.broadcasting import scalar
from ncnn_tools.onnx2ncnn.view import MAX_AXES

Make = Callable[..., onnx.ModelProto]
Check = Callable[..., Any]
Shape = tuple[int, ...]


@st.composite
def operands(draw: st.DrawFn, count: int, most: int) -> list[Shape]:
    """Shapes that broadcast: each a part of one shape, with some axes of size 1 and fewer axes in front."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=most))
    drawn = []
    for _ in range(count):
        own = tuple(1 if draw(st.booleans()) else size for size in shape)
        drawn.append(own[draw(st.integers(0, len(own))) :])
    return drawn


def model_of(make_model: Make, shapes: list[Shape], constants: list[bool]) -> onnx.ModelProto:
    """Add (or Sum) tensors of any rank, each reshaped from a vector, so that ncnn can hold the inputs."""
    nodes, inputs, values, names = [], {}, {}, []
    for i, (shape, constant) in enumerate(zip(shapes, constants, strict=True)):
        name = f"t{i}"
        if constant:
            values[name] = np.random.default_rng(i).normal(0, 1, shape).astype(np.float32)
        else:
            inputs[f"x{i}"] = (math.prod(shape),)
            values[f"shape{i}"] = np.array(shape, np.int64)
            nodes.append(helper.make_node("Reshape", [f"x{i}", f"shape{i}"], [name]))
        names.append(name)
    nodes.append(helper.make_node("Add" if len(shapes) == 2 else "Sum", names, ["y"], name="the_node"))
    return make_model(nodes, inputs, ["y"], values)


@given(shapes=operands(2, 4), second_is_constant=st.booleans())
def test_two_operands_of_up_to_four_axes(
    make_model: Make, check_model: Check, shapes: list[Shape], second_is_constant: bool
) -> None:
    check_model(model_of(make_model, shapes, [False, second_is_constant]))


def axes_of(shapes: list[Shape]) -> int:
    """Count the runs of neighbouring axes that the same operands have, or the result's axes if they are fewer."""
    result = np.broadcast_shapes(*shapes)
    padded = [(1,) * (len(result) - len(shape)) + shape for shape in shapes]
    axes = [tuple(shape[i] == 1 for shape in padded) for i, size in enumerate(result) if size != 1]
    return min(len(list(itertools.groupby(axes))), len(axes))


@given(shapes=operands(2, 6), second_is_constant=st.booleans())
def test_two_operands_of_up_to_six_axes(
    make_model: Make, check_model: Check, shapes: list[Shape], second_is_constant: bool
) -> None:
    model = model_of(make_model, shapes, [False, second_is_constant])
    if axes_of(shapes) > MAX_AXES:
        with pytest.raises(UnsupportedOperatorError, match=r"the_node.*broadcast along more than 4 axes"):
            convert_onnx(model)
    else:
        check_model(model)


@given(shapes=operands(3, 4), constant=st.booleans())
def test_three_operands(make_model: Make, check_model: Check, shapes: list[Shape], constant: bool) -> None:
    assume(len(shapes) == 3)
    check_model(model_of(make_model, shapes, [False, constant, False]))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 4, 4), (4, 4)),  # ncnn by itself would align at the first axis
        ((4, 4, 4), (4,)),
        ((4, 4, 4), (4, 1, 1)),
        ((2, 3, 4, 5), (2, 1, 4, 1)),
        ((1, 3, 3, 3), (3, 3, 3)),
        ((2, 3, 4), (1, 2, 3, 1)),
        ((5, 1), (1, 5)),
        ((1, 5, 1, 1), (1, 5)),
        ((2, 2, 3, 4, 5), (2, 2, 1, 1, 1)),
    ],
)
def test_shapes_that_ncnn_would_align_otherwise(
    make_model: Make, check_model: Check, left: Shape, right: Shape
) -> None:
    for shapes in ([left, right], [right, left]):
        check_model(model_of(make_model, shapes, [False, False]))
        check_model(model_of(make_model, shapes, [True, False]))


def test_a_result_without_values_is_refused(make_model: Make) -> None:
    with pytest.raises(UnsupportedOperatorError, match="holds no values"):
        convert_onnx(model_of(make_model, [(1, 3), (0, 3)], [False, True]))


def test_scalars() -> None:
    assert scalar(np.full((1, 1), 0.1)) == float(np.float32(0.1))
    assert scalar(np.zeros(2)) is None
    assert scalar(None) is None
