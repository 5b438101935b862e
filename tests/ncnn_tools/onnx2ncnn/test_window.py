"""Windows: how kernels, strides and pads are read, against ONNX's shape inference."""

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
from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Node, Source
from ncnn_tools.onnx2ncnn.window import Window, map_shape

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
PAIRS = st.tuples(st.integers(1, 4), st.integers(1, 4))


def node_of(**attributes: Any) -> Node:
    return Node(helper.make_node("Conv", ["x", "w"], ["y"], name="the_node", **attributes), 18)


@given(sizes=SIZES, kernel=PAIRS, strides=PAIRS, dilations=PAIRS, upper=st.booleans())
def test_automatic_pads_give_the_sizes_that_onnx_infers(
    make_model: Callable[..., onnx.ModelProto],
    sizes: tuple[int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    upper: bool,
) -> None:
    attributes = {
        "strides": strides,
        "dilations": dilations,
        "auto_pad": "SAME_UPPER" if upper else "SAME_LOWER",
    }
    node = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    model = make_model([node], {"x": (1, 1, *sizes)}, ["y"], {"w": np.zeros((1, 1, *kernel), np.float32)})
    inferred = [axis.dim_value for axis in model.graph.output[0].type.tensor_type.shape.dim]
    window = Window.read(node_of(**attributes), kernel, sizes)
    given_by_pads = [
        (sizes[axis] + window.before[axis] + window.after[axis] - window.extent(axis)) // strides[axis] + 1
        for axis in (0, 1)
    ]
    assert given_by_pads == inferred[2:]
    for before, after in zip(window.before, window.after, strict=True):
        assert 0 <= (after - before if upper else before - after) <= 1


def test_attributes_of_a_sequence_concern_its_one_axis() -> None:
    window = Window.read(node_of(kernel_shape=[3], strides=[2], dilations=[4], pads=[1, 5]), [3], (1, 20))
    assert (window.kernel, window.strides, window.dilations) == ((1, 3), (1, 2), (1, 4))
    assert (window.before, window.after) == ((0, 1), (0, 5))
    assert Window.read(node_of(), [3], (1, 20)) == Window((1, 3), (1, 1), (1, 1), (0, 0), (0, 0))


def test_negative_pads_are_refused() -> None:
    with pytest.raises(UnsupportedOperatorError, match="negative") as caught:
        Window.read(node_of(pads=[0, 0, -1, 0]), [3, 3], (8, 8))
    assert caught.value.attribute == "pads"


@pytest.mark.parametrize(
    ("shape", "expected"), [((1, 3, 4, 5), (3, 4, 5)), ((1, 3, 4), (3, 1, 4)), ((2, 3, 4), None)]
)
@pytest.mark.parametrize("rank", [3, 4])
def test_shapes_of_maps(
    make_model: Callable[..., onnx.ModelProto],
    shape: tuple[int, ...],
    expected: tuple[int, ...] | None,
    rank: int,
) -> None:
    build = Builder(Source(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": shape}, ["y"])))
    if expected is None:
        with pytest.raises(UnsupportedOperatorError, match="batch of 1"):
            map_shape(node_of(), build, "x")
    else:
        assert map_shape(node_of(), build, "x") == expected
