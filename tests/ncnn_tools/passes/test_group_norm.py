"""Group normalization spelled out as instance normalization."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.onnx2ncnn.movement import axis_sizes
from ncnn_tools.passes import recognize_group_norms

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
Filled = Callable[..., Layer]
GraphOf = Callable[..., Graph]


@pytest.fixture(scope="session")
def graph_of(graph_behind_relu: GraphOf) -> GraphOf:
    return functools.partial(graph_behind_relu, shape=(6, 4, 5))


def reshape(source: str, target: str, *shape: int) -> Layer:
    return new_layer("Reshape", target, [source], [target], **axis_sizes(shape))


def chain(
    filled: Filled, groups: int, rest: Sequence[int], after: Sequence[int], affine: int = 1
) -> list[Layer]:
    norm = new_layer("InstanceNorm", "n", ["g"], ["n"], channels=groups, eps=1e-3, affine=affine)
    return [reshape("a", "g", groups, *rest), filled(norm), reshape("n", "y", *after)]


@pytest.mark.parametrize(("groups", "rest"), [(1, (1, 120)), (2, (1, 60)), (3, (8, 5)), (6, (4, 5))])
@pytest.mark.parametrize("affine", [0, 1])
def test_groups(
    graph_of: GraphOf,
    filled: Filled,
    apply_pass: Apply,
    types: Types,
    groups: int,
    rest: Sequence[int],
    affine: int,
) -> None:
    graph = graph_of(*chain(filled, groups, rest, (6, 4, 5), affine))
    assert types(apply_pass(recognize_group_norms, graph, 1)) == ["ReLU", "GroupNorm"]


def test_groups_that_are_not_whole_channels_stay(
    graph_of: GraphOf, filled: Filled, apply_pass: Apply
) -> None:
    apply_pass(recognize_group_norms, graph_of(*chain(filled, 4, (1, 30), (6, 4, 5))), 0)


def test_another_shape_afterwards_stays(graph_of: GraphOf, filled: Filled, apply_pass: Apply) -> None:
    apply_pass(recognize_group_norms, graph_of(*chain(filled, 2, (1, 60), (6, 20))), 0)


def test_what_someone_else_reads_stays(graph_of: GraphOf, filled: Filled, apply_pass: Apply) -> None:
    layers = chain(filled, 2, (1, 60), (6, 4, 5))
    apply_pass(recognize_group_norms, graph_of(*layers, outputs=("y", "n")), 0)
