"""Reshapes and Permutes that follow each other."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.onnx2ncnn.movement import axis_sizes
from ncnn_tools.passes import merge_moves
from ncnn_tools.passes.affine_moves import permutation
from ncnn_tools.runtime import Runtime

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
GraphOf = Callable[..., Graph]


@pytest.fixture(scope="session")
def graph_of(graph_behind_relu: GraphOf) -> GraphOf:
    return functools.partial(graph_behind_relu, shape=(2, 3, 4))


def reshape(source: str, target: str, *shape: int) -> Layer:
    return new_layer("Reshape", target, [source], [target], **axis_sizes(shape))


def permute(source: str, target: str, order: int) -> Layer:
    return new_layer("Permute", target, [source], [target], order_type=order)


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_the_order_types_are_lexicographic(make_graph: Callable[..., Graph], rank: int) -> None:
    shape = (2, 3, 4, 5)[-rank:]
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    for order in range(len(list(itertools.permutations(range(rank))))):
        layer = permute("x", "y", order)
        actual = Runtime.from_graph(make_graph(shape, [layer], ["y"])).run({"x": x})["y"]
        np.testing.assert_array_equal(actual, x.transpose(permutation(layer, rank)))


@pytest.mark.parametrize("first", [reshape("a", "b", 4, 6), new_layer("Flatten", "b", ["a"], ["b"])])
@pytest.mark.parametrize("outputs", [("y",), ("y", "b")])
def test_reshapes(
    graph_of: GraphOf, apply_pass: Apply, types: Types, first: Layer, outputs: tuple[str, ...]
) -> None:
    changed = apply_pass(merge_moves, graph_of(first, reshape("b", "y", 3, 8), outputs=outputs), 1)
    assert changed.layers[-1].inputs == ["a"]


def test_sizes_that_came_from_the_blob_before_are_said(graph_of: GraphOf, apply_pass: Apply) -> None:
    """A size of 0 is the input's own, which is another input now."""
    graph = graph_of(reshape("a", "b", 4, 6), reshape("b", "y", -1, 0))
    assert graph.shapes["y"] == (4, 6)
    apply_pass(merge_moves, graph, 1)


@pytest.mark.parametrize("orders", list(itertools.product(range(6), range(6))))
def test_permutes(graph_of: GraphOf, apply_pass: Apply, orders: tuple[int, int]) -> None:
    graph = graph_of(permute("a", "b", orders[0]), permute("b", "y", orders[1]))
    changed = apply_pass(merge_moves, graph, 1)
    assert changed.layers[-1].inputs == ["a"]


def test_a_turn_of_the_last_axes_meets_the_permute_before(
    graph_of: GraphOf, apply_pass: Apply, types: Types
) -> None:
    """Keys of windows: (2, 3, 4, 5) turned, seen as (6, …), and turned back."""
    layers = [permute("a", "b", 7), reshape("b", "c", 6, 4, 5), permute("c", "y", 1)]
    graph = graph_of(*layers, shape=(3, 4, 2, 5))
    layers[1] = reshape("b", "c", graph.shapes["b"][0] * graph.shapes["b"][1], *graph.shapes["b"][2:])
    graph = graph_of(*layers, shape=(3, 4, 2, 5))
    changed = apply_pass(merge_moves, graph, 1)
    assert types(changed) == ["ReLU", "Permute", "Permute", "Reshape"]
    assert types(apply_pass(merge_moves, changed, 1)) == ["ReLU", "Permute", "Permute", "Reshape"]


@pytest.mark.parametrize(
    "layers",
    [
        [permute("a", "b", 1), reshape("b", "c", 8, 3), permute("c", "y", 1)],
        [permute("a", "b", 1), reshape("b", "c", 1, 2, 4, 3), permute("c", "y", 6)],
        [reshape("a", "c", 1, 2, 3, 4), permute("c", "y", 1)],
        [reshape("a", "b", 4, 6), new_layer("TanH", "c", ["b"], ["c"]), reshape("c", "y", 24)],
    ],
)
def test_others_stay(graph_of: GraphOf, apply_pass: Apply, layers: list[Layer]) -> None:
    apply_pass(merge_moves, graph_of(*layers), 0)


def test_what_someone_else_reads_is_not_turned(graph_of: GraphOf, apply_pass: Apply) -> None:
    layers = [permute("a", "b", 1), reshape("b", "c", 1, 2, 4, 3), permute("c", "y", 1)]
    apply_pass(merge_moves, graph_of(*layers, outputs=("y", "c")), 0)
    apply_pass(merge_moves, graph_of(*layers, outputs=("y", "b")), 0)
    apply_pass(merge_moves, graph_of(*layers), 1)
