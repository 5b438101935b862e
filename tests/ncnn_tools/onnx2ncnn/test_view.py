"""Views and shapes in ncnn, against numpy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncnn_tools.onnx2ncnn.view import MAX_AXES, View, common_refinement, ncnn_axis, ncnn_shape

Shape = tuple[int, ...]

SHAPES = st.lists(st.integers(1, 5), max_size=7).map(tuple)


def groupings(factors: list[int]) -> st.SearchStrategy[Shape]:
    """Shapes whose axes are products of neighbouring factors."""
    cuts = st.sets(st.integers(1, len(factors) - 1)) if len(factors) > 1 else st.just(set())
    return cuts.map(
        lambda cut: tuple(
            math.prod(factors[a:b]) for a, b in itertools.pairwise([0, *sorted(cut), len(factors)])
        )
    )


def values(view: View, blob: np.ndarray) -> np.ndarray:
    """Read a view as its definition says."""
    return blob.reshape(view.factors).transpose(view.order).reshape(view.shape)


@given(data=st.data(), factors=st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_reshapes_and_transposes_are_numpys(data: st.DataObject, factors: list[int]) -> None:
    blob = np.arange(math.prod(factors))
    view: View | None = View.of("blob", factors)
    expected = blob.reshape(factors)
    for _ in range(data.draw(st.integers(1, 5))):
        assert view is not None
        if data.draw(st.booleans()):
            finest = [prime for size in expected.shape for prime in primes(size)] or [1]
            shape = data.draw(groupings(finest))
            view, expected = view.reshaped(shape), expected.reshape(shape)
        else:
            perm = data.draw(st.permutations(range(expected.ndim)))
            transposed = view.transposed(perm)
            if transposed is None:
                break
            view, expected = transposed, expected.transpose(perm)
    assert view is not None
    np.testing.assert_array_equal(values(view, blob), expected)
    if view.in_order:
        np.testing.assert_array_equal(expected.reshape(-1), blob)


def primes(size: int) -> list[int]:
    found = []
    for prime in (2, 3, 5):
        while size % prime == 0:
            found.append(prime)
            size //= prime
    return found


def test_values_have_to_be_moved_where_an_axis_is_cut_in_two() -> None:
    turned = View.of("blob", (2, 3)).transposed((1, 0))
    assert turned is not None
    assert not turned.in_order
    # (3, 2) seen as (2, 3): the cut between two and three values runs through an axis of three
    assert turned.reshaped((2, 3)).transposed((1, 0)) is None


def test_axes_of_one_never_put_values_out_of_order() -> None:
    view = View.of("blob", (1, 4, 1, 5)).transposed((1, 2, 0, 3))
    assert view is not None
    assert view.in_order
    assert view.shape == (4, 1, 1, 5)


@given(shape=SHAPES)
def test_a_shape_in_ncnn_holds_as_many_values_in_four_axes(shape: Shape) -> None:
    held = ncnn_shape(shape)
    assert 1 <= len(held) <= MAX_AXES
    assert math.prod(held) == math.prod(shape)


@given(shape=SHAPES)
def test_an_axis_in_ncnn_has_the_same_values_before_it_within_it_and_after_it(shape: Shape) -> None:
    for axis, size in enumerate(shape):
        place = ncnn_axis(shape, axis)
        if place is not None:
            held = ncnn_shape(shape)
            assert (held[place], math.prod(held[place + 1 :])) == (size, math.prod(shape[axis + 1 :]))


@pytest.mark.parametrize(
    ("shape", "held"),
    [
        ((), (1,)),
        ((1,), (1,)),
        ((1, 1), (1,)),
        ((2, 3), (2, 3)),
        ((1, 2, 3, 4), (2, 3, 4)),
        ((2, 3, 4, 5), (2, 3, 4, 5)),
        ((1, 2, 3, 4, 5), (2, 3, 4, 5)),
        ((1, 1, 2, 3, 4, 5), (2, 3, 4, 5)),
        ((2, 3, 1, 4, 5), (2, 3, 4, 5)),
        ((2, 3, 4, 5, 6), (6, 4, 5, 6)),
    ],
)
def test_shapes_in_ncnn(shape: Shape, held: Shape) -> None:
    assert ncnn_shape(shape) == held


@given(data=st.data(), factors=st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_a_common_refinement_of_two_groupings(data: st.DataObject, factors: list[int]) -> None:
    first, second = data.draw(groupings(factors)), data.draw(groupings(factors))
    refined = common_refinement(first, second)
    assert refined is not None
    assert 1 not in refined
    ends = set(itertools.accumulate(refined, int.__mul__, initial=1))
    for shape in (first, second):
        assert ends >= set(itertools.accumulate(shape, int.__mul__))


def test_shapes_without_a_common_refinement() -> None:
    assert common_refinement((4, 6), (6, 4)) is None
    assert common_refinement((6, 4), (2, 12)) == (2, 3, 4)
