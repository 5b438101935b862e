"""Layers whose outputs nobody asks for."""

from __future__ import annotations

from collections.abc import Callable

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import remove_dead_layers

Make = Callable[..., Graph]
Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]


def relu(source: str, target: str) -> Layer:
    return new_layer("ReLU", target, [source], [target])


def constant(name: str) -> Layer:
    layer = new_layer("MemoryData", name, [], [name], w=4, h=3)
    layer.set_weight("data", range(12))
    return layer


def test_a_branch_that_leads_nowhere(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    side = [constant("c"), new_layer("BinaryOp", "d", ["a", "c"], ["d"]), relu("d", "e")]
    graph = make_graph((3, 4), [relu("x", "a"), *side, relu("a", "y")], ["y"])
    assert types(apply_pass(remove_dead_layers, graph, 3)) == ["ReLU", "ReLU"]


def test_inputs_stay(make_graph: Make, apply_pass: Apply) -> None:
    unused = new_layer("Input", "mask", [], ["mask"], w=4)
    changed = apply_pass(remove_dead_layers, make_graph((3, 4), [unused, relu("x", "y")], ["y"]), 0)
    assert changed.inputs == ["x", "mask"]


def test_a_layer_with_one_used_output_stays(make_graph: Make, apply_pass: Apply) -> None:
    halves = new_layer("Slice", "s", ["x"], ["a", "b"], slices=(1, 2), axis=0)
    apply_pass(remove_dead_layers, make_graph((3, 4), [halves, relu("b", "y")], ["y"]), 0)


def test_an_output_that_is_read_as_well_stays(make_graph: Make, apply_pass: Apply) -> None:
    apply_pass(remove_dead_layers, make_graph((3, 4), [relu("x", "y"), relu("y", "z")], ["y", "z"]), 0)
