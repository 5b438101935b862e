"""Reshape, Transpose and their like, against onnxruntime."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

Check = Callable[..., Any]
Shape = tuple[int, ...]


CHANNELS = st.sampled_from([1, 2, 3, 4, 8, 12, 16])


@st.composite
def shapes(draw: st.DrawFn, min_rank: int = 2, max_rank: int = 5) -> Shape:
    rest = draw(st.lists(st.integers(1, 8), min_size=min_rank - 2, max_size=max_rank - 2))
    return (1, draw(CHANNELS), *rest)


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """Two shapes of as many values: the factors of one number, grouped in two ways."""
    factors = draw(st.lists(st.sampled_from([1, 2, 3, 4, 5]), min_size=4, max_size=4))

    def grouped() -> Shape:
        cuts = sorted(draw(st.sets(st.integers(1, 3), max_size=3)))
        edges = [0, *cuts, len(factors)]
        return (1, *(math.prod(factors[a:b]) for a, b in itertools.pairwise(edges)))

    return grouped(), grouped()


@given(case=reshapes(), data=st.data())
def test_reshape(check_operator: Check, case: tuple[Shape, Shape], data: st.DataObject) -> None:
    shape, target = case
    wanted = list(target)
    if data.draw(st.booleans()):
        wanted[data.draw(st.integers(0, len(wanted) - 1))] = -1
    if data.draw(st.booleans()) and wanted[0] == 1:
        wanted[0] = 0  # as in the input
    check_operator("Reshape", {"x": shape}, {"shape": np.array(wanted)})


@given(shape=shapes(), data=st.data())
def test_flatten(check_operator: Check, shape: Shape, data: st.DataObject) -> None:
    check_operator("Flatten", {"x": shape}, axis=data.draw(st.sampled_from([0, 1, 1 - len(shape)])))


@given(shape=shapes(max_rank=4), data=st.data(), opset=st.sampled_from([11, 13]))
def test_squeeze_and_unsqueeze(check_operator: Check, shape: Shape, data: st.DataObject, opset: int) -> None:
    axis = data.draw(st.integers(1, len(shape)))
    added = (*shape[:axis], 1, *shape[axis:])
    if opset < 13:
        check_operator("Unsqueeze", {"x": shape}, opset=opset, axes=[axis])
        check_operator("Squeeze", {"x": added}, opset=opset, axes=[axis])
    else:
        check_operator("Unsqueeze", {"x": shape}, {"axes": np.array([axis])}, opset=opset)
        check_operator("Squeeze", {"x": added}, {"axes": np.array([axis - len(added)])}, opset=opset)


def test_reshapes_that_lose_the_batch(check_operator: Check) -> None:
    check_operator("Reshape", {"x": (1, 4, 3)}, {"shape": np.array([4, 3])})
    check_operator("Flatten", {"x": (1, 4, 3)}, axis=2)
    check_operator("Squeeze", {"x": (1, 4, 3)}, {"axes": np.array([0])})


def test_a_reshape_to_more_axes_than_ncnn_holds(check_operator: Check) -> None:
    check_operator("Reshape", {"x": (1, 64)}, {"shape": np.array([1, 2, 2, 2, 2, 4])})
    check_operator("Reshape", {"x": (1, 64)}, {"shape": np.array([2, 2, 1, 2, 2, 2, 2])})


ORDERS = [(0, *order) for rank in range(1, 5) for order in itertools.permutations(range(1, rank + 1))]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sizes", [(5, 3, 4, 2), (8, 4, 16, 12)])
def test_every_transpose(check_operator: Check, order: Shape, sizes: Shape) -> None:
    check_operator("Transpose", {"x": (1, *sizes[: len(order) - 1])}, perm=list(order))


def test_transposes_of_the_batch(check_operator: Check) -> None:
    check_operator("Transpose", {"x": (1, 3, 4)})
    check_operator("Transpose", {"x": (1, 3)}, perm=[1, 0])


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_transpose(check_operator: Check, shape: list[int], data: st.DataObject) -> None:
    check_operator("Transpose", {"x": shape}, perm=data.draw(st.permutations(range(len(shape)))))


BLOCKS = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))


@given(sizes=BLOCKS, mode=st.sampled_from(["DCR", "CRD"]), batch=st.sampled_from([1, 1, 2]))
def test_depth_to_space(
    check_operator: Check, sizes: tuple[int, int, int, int], mode: str, batch: int
) -> None:
    block, channels, height, width = sizes
    shape = (batch, channels * block**2, height, width)
    check_operator("DepthToSpace", {"x": shape}, blocksize=block, mode=mode)


@given(sizes=BLOCKS, batch=st.sampled_from([1, 1, 2]))
def test_space_to_depth(check_operator: Check, sizes: tuple[int, int, int, int], batch: int) -> None:
    block, channels, height, width = sizes
    check_operator("SpaceToDepth", {"x": (batch, channels, height * block, width * block)}, blocksize=block)
