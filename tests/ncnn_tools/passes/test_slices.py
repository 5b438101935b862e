"""Crops that take a blob apart."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import merge_crops

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
GraphOf = Callable[..., Graph]


@pytest.fixture(scope="session")
def graph_of(graph_behind_relu: GraphOf) -> GraphOf:
    return functools.partial(graph_behind_relu, shape=(6, 4, 5))


def crop(target: str, start: int, end: int, axis: int = 0) -> Layer:
    return new_layer("Crop", target, ["a"], [target], starts=(start,), ends=(end,), axes=(axis,))


@pytest.mark.parametrize(
    "shape", [(6,), (6, 4), (4, 6), (6, 4, 5), (2, 6, 5), (2, 3, 6), (6, 2, 3, 4), (2, 6, 3, 4)]
)
@pytest.mark.parametrize("cuts", [(0, 2, 6), (0, 1, 3, 6)])
def test_parts_of_an_axis(
    graph_of: GraphOf, apply_pass: Apply, types: Types, shape: tuple[int, ...], cuts: tuple[int, ...]
) -> None:
    axis = shape.index(6)
    crops = [crop(f"p{a}", a, b, axis) for a, b in itertools.pairwise(cuts)]
    graph = graph_of(*reversed(crops), outputs=[layer.name for layer in crops], shape=shape)
    assert types(apply_pass(merge_crops, graph, 1)) == ["ReLU", "Slice"]


def test_negative_places(graph_of: GraphOf, apply_pass: Apply, types: Types) -> None:
    graph = graph_of(crop("p", 0, -2, -3), crop("q", -2, 6, -3), outputs=["p", "q"])
    assert types(apply_pass(merge_crops, graph, 1)) == ["ReLU", "Slice"]


def test_the_slice_comes_before_all_that_reads_its_parts(
    graph_of: GraphOf, apply_pass: Apply, types: Types
) -> None:
    layers = [crop("q", 3, 6), new_layer("TanH", "y", ["q"], ["y"]), crop("p", 0, 3)]
    changed = apply_pass(merge_crops, graph_of(*layers, outputs=["y", "p"]), 1)
    assert types(changed) == ["ReLU", "Slice", "TanH"]


@pytest.mark.parametrize(
    "crops",
    [
        [crop("p", 0, 3)],
        [crop("p", 0, 3), crop("q", 4, 6)],
        [crop("p", 0, 3), crop("q", 2, 6)],
        [crop("p", 0, 3), crop("q", 3, 5)],
        [crop("p", 0, 3), crop("q", 3, 4, 1)],
        [crop("p", 0, 3), crop("q", 0, 3)],
    ],
)
def test_others_stay(graph_of: GraphOf, apply_pass: Apply, crops: list[Layer]) -> None:
    apply_pass(merge_crops, graph_of(*crops, outputs=[layer.name for layer in crops]), 0)


def test_another_reader_stays(graph_of: GraphOf, apply_pass: Apply) -> None:
    layers = [crop("p", 0, 3), crop("q", 3, 6), new_layer("TanH", "y", ["a"], ["y"])]
    apply_pass(merge_crops, graph_of(*layers, outputs=["p", "q", "y"]), 0)
    apply_pass(merge_crops, graph_of(*layers[:2], outputs=["p", "q", "a"]), 0)
