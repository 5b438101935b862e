"""Movements: the planned layers, run by ncnn, give numpy's transpose and reshape, in the fewest layers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.onnx2ncnn.movement import Step, merge_axes, permute_type, plan_movement
from ncnn_tools.onnx2ncnn.view import MAX_AXES
from ncnn_tools.runtime import Runtime

Shape = tuple[int, ...]
Run = Callable[[Shape, Sequence[Step]], np.ndarray]


@pytest.fixture(scope="module")
def run_steps(make_graph: Callable[..., Graph]) -> Run:
    """Run a movement on the values 0, 1, 2, … of a blob."""

    def run(source: Shape, steps: Sequence[Step]) -> np.ndarray:
        layers = [
            new_layer(step.kind, f"step{i}", [f"b{i}" if i else "x"], [f"b{i + 1}"], **step.params)
            for i, step in enumerate(steps)
        ]
        blobs = np.arange(math.prod(source), dtype=np.float32).reshape(source)
        if not layers:
            return blobs
        graph = make_graph(source, layers, layers[-1].outputs)
        return Runtime.from_graph(graph).run({"x": blobs})[layers[-1].outputs[0]]

    return run


def expected(source: Shape, factors: Shape, order: Sequence[int], target: Shape) -> np.ndarray:
    values = np.arange(math.prod(source), dtype=np.float32)
    return values.reshape(factors).transpose(order).reshape(target)


def grouped(draw: st.DrawFn, factors: Sequence[int]) -> Shape:
    """Draw a shape of one to four axes, each the product of neighbouring factors."""
    most = min(MAX_AXES, len(factors)) - 1
    cuts = sorted(draw(st.sets(st.integers(1, max(len(factors) - 1, 1)), max_size=most))) if most else []
    return tuple(math.prod(factors[a:b]) for a, b in itertools.pairwise([0, *cuts, len(factors)]))


@st.composite
def movements(draw: st.DrawFn, most: int = 6) -> tuple[Shape, Shape, tuple[int, ...], Shape]:
    """A blob's shape, the factors it is read as, their order, and the shape of the result."""
    factors = draw(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=most))
    order = draw(st.permutations(range(len(factors))))
    source = grouped(draw, factors)
    target = grouped(draw, [factors[axis] for axis in order])
    return source, tuple(factors), tuple(order), target


@given(movement=movements())
def test_the_layers_give_what_numpy_gives(
    run_steps: Run, movement: tuple[Shape, Shape, tuple[int, ...], Shape]
) -> None:
    source, factors, order, target = movement
    steps = plan_movement(source, factors, order, target)
    actual = run_steps(source, steps)
    np.testing.assert_array_equal(actual, expected(source, factors, order, target))
    merged, places = merge_axes(factors, order)
    permutes = sum(step.kind == "Permute" for step in steps)
    if places == tuple(range(len(places))):
        assert permutes == 0
    elif len(merged) <= MAX_AXES:
        assert permutes <= 1
        assert len(steps) <= 3
    else:
        assert permutes <= 2


@given(data=st.data(), sizes=st.lists(st.sampled_from([1, 3, 4, 5, 8]), min_size=1, max_size=4))
def test_a_permutation_of_up_to_four_axes_is_one_layer(
    run_steps: Run, data: st.DataObject, sizes: list[int]
) -> None:
    order = tuple(data.draw(st.permutations(range(len(sizes)))))
    source, target = tuple(sizes), tuple(sizes[axis] for axis in order)
    steps = plan_movement(source, source, order, target)
    assert len(steps) <= 1
    np.testing.assert_array_equal(run_steps(source, steps), expected(source, source, order, target))


@pytest.mark.parametrize("order", [o for rank in range(1, 5) for o in itertools.permutations(range(rank))])
def test_every_permute(run_steps: Run, order: tuple[int, ...]) -> None:
    source = (5, 3, 4, 2)[: len(order)]
    target = tuple(source[axis] for axis in order)
    steps = [Step("Permute", {"order_type": permute_type(order)}, target)]
    np.testing.assert_array_equal(run_steps(source, steps), expected(source, source, order, target))


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
def test_five_axes_take_at_most_two_permutes(run_steps: Run, order: tuple[int, ...]) -> None:
    factors = (2, 3, 4, 2, 3)
    result = [factors[axis] for axis in order]
    source, target = (2, 3, 4, 6), (*result[:3], math.prod(result[3:]))
    steps = plan_movement(source, factors, order, target)
    assert sum(step.kind == "Permute" for step in steps) <= 2
    np.testing.assert_array_equal(run_steps(source, steps), expected(source, factors, order, target))


NAMED: list[tuple[str, Shape, Shape, tuple[int, ...], Shape]] = [
    ("ShuffleChannel", (12, 4, 5), (3, 4, 4, 5), (1, 0, 2, 3), (12, 4, 5)),
    ("PixelShuffle", (12, 3, 5), (3, 2, 2, 3, 5), (0, 3, 1, 4, 2), (3, 6, 10)),
    ("PixelShuffle", (12, 3, 5), (2, 2, 3, 3, 5), (2, 3, 0, 4, 1), (3, 6, 10)),
    ("Reorg", (3, 6, 10), (3, 3, 2, 5, 2), (0, 2, 4, 1, 3), (12, 3, 5)),
    ("Reorg", (3, 6, 10), (3, 3, 2, 5, 2), (2, 4, 0, 1, 3), (12, 3, 5)),
]


@pytest.mark.parametrize(("kind", "source", "factors", "order", "target"), NAMED)
def test_movements_that_ncnn_has_a_layer_for(
    run_steps: Run, kind: str, source: Shape, factors: Shape, order: tuple[int, ...], target: Shape
) -> None:
    steps = plan_movement(source, factors, order, target)
    assert [step.kind for step in steps] == [kind]
    np.testing.assert_array_equal(run_steps(source, steps), expected(source, factors, order, target))


@given(data=st.data(), group=st.integers(1, 6), each=st.integers(1, 6), size=st.integers(1, 6))
def test_maps_whose_sides_are_one(
    run_steps: Run, data: st.DataObject, group: int, each: int, size: int
) -> None:
    sides = data.draw(st.sampled_from([(1, 1), (1, size), (size, 1)]))
    source: Any = (group * each, *sides)
    factors, order = (group, each, *sides), (1, 0, 2, 3)
    steps = plan_movement(source, factors, order, source)
    np.testing.assert_array_equal(run_steps(source, steps), expected(source, factors, order, source))
