"""Scales and offsets that follow each other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import merge_affines

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
Filled = Callable[..., Layer]
GraphOf = Callable[..., Graph]

SHAPE = (3, 4, 5)


@pytest.fixture(scope="session")
def graph_of(graph_behind_relu: GraphOf) -> GraphOf:
    return functools.partial(graph_behind_relu, shape=SHAPE)


def op(code: int, source: str, other: str | float, target: str) -> Layer:
    if isinstance(other, str):
        return new_layer("BinaryOp", target, [source, other], [target], op_type=code)
    return new_layer("BinaryOp", target, [source], [target], op_type=code, with_scalar=1, b=other)


@pytest.mark.parametrize(("codes", "code", "value"), [((2, 3), 2, 0.75), ((0, 1), 0, -0.5), ((1, 0), 0, 0.5)])
def test_two_of_a_kind(
    graph_of: GraphOf, apply_pass: Apply, types: Types, codes: tuple[int, int], code: int, value: float
) -> None:
    graph = graph_of(op(codes[0], "a", 1.5, "b"), op(codes[1], "b", 2.0, "y"))
    changed = apply_pass(merge_affines, graph, 1)
    assert types(changed) == ["ReLU", "BinaryOp"]
    assert (changed.layers[-1].get("op_type"), changed.layers[-1].get("b")) == (code, value)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4), (3,)])
def test_a_factor_and_an_offset(
    graph_of: GraphOf, apply_pass: Apply, types: Types, shape: tuple[int, ...]
) -> None:
    graph = graph_of(op(2, "a", 1.5, "b"), op(0, "b", 2.0, "y"), shape=shape)
    assert types(apply_pass(merge_affines, graph, 1)) == ["ReLU", "Scale"]


def test_a_whole_chain(graph_of: GraphOf, filled: Filled, apply_pass: Apply, types: Types) -> None:
    layers = [
        filled(new_layer("BatchNorm", "b", ["a"], ["b"], channels=3, eps=1e-5)),
        op(7, "b", 1.0, "c"),
        new_layer("UnaryOp", "d", ["c"], ["d"], op_type=1),
        filled(new_layer("Scale", "y", ["d"], ["y"], scale_data_size=3)),
    ]
    assert types(apply_pass(merge_affines, graph_of(*layers), 3)) == ["ReLU", "Scale"]


@pytest.mark.parametrize("code", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("sizes", [{"w": 3}, {"w": 1, "h": 1, "c": 3}])
def test_a_constant_along_the_channels(
    graph_of: GraphOf, filled: Filled, apply_pass: Apply, types: Types, code: int, sizes: dict[str, int]
) -> None:
    memory = filled(new_layer("MemoryData", "m", [], ["m"], **sizes))
    changed = apply_pass(merge_affines, graph_of(memory, op(code, "a", "m", "y")), 1)
    assert types(changed) == ["ReLU", "MemoryData", "Scale"]
    assert changed.layers[-1].get("bias_term") == int(code not in (2, 3))


@pytest.mark.parametrize(
    "sizes", [{"w": 5}, {"w": 1, "h": 4, "c": 1}, {"w": 5, "h": 4, "c": 3}, {"w": 5, "h": 1, "c": 3}]
)
def test_another_constant_stays(
    graph_of: GraphOf, filled: Filled, apply_pass: Apply, sizes: dict[str, int]
) -> None:
    memory = filled(new_layer("MemoryData", "m", [], ["m"], **sizes))
    apply_pass(merge_affines, graph_of(memory, op(2, "a", "m", "y")), 0)


def test_a_constant_of_more_axes_stays(graph_of: GraphOf, filled: Filled, apply_pass: Apply) -> None:
    memory = filled(new_layer("MemoryData", "m", [], ["m"], w=5, h=4, c=3))
    apply_pass(merge_affines, graph_of(memory, op(2, "a", "m", "y"), shape=(3,)), 0)


def test_what_someone_else_reads_stays(graph_of: GraphOf, apply_pass: Apply) -> None:
    chain = [op(2, "a", 1.5, "b"), op(2, "b", 2.0, "y")]
    apply_pass(merge_affines, graph_of(*chain, outputs=("y", "b")), 0)
    apply_pass(merge_affines, graph_of(*chain, op(4, "b", 0.0, "z"), outputs=("y", "z")), 0)


@pytest.mark.parametrize("layer", [op(3, "a", 0.0, "y"), op(8, "a", 2.0, "y"), op(4, "a", 2.0, "y")])
def test_what_is_not_affine_stays(graph_of: GraphOf, apply_pass: Apply, layer: Layer) -> None:
    first: Any = op(2, "x", 2.0, "a")
    graph = graph_of(layer)
    graph.layers[1] = first
    assert merge_affines(graph) == 0
