"""Layers that give what they take."""

from __future__ import annotations

from collections.abc import Callable

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import remove_identities

Make = Callable[..., Graph]
Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]


def relu(source: str, target: str) -> Layer:
    return new_layer("ReLU", target, [source], [target])


def noop(source: str, target: str) -> Layer:
    return new_layer("Noop", target, [source], [target])


def test_in_the_middle(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    graph = make_graph((3, 4), [relu("x", "a"), noop("a", "b"), noop("b", "c"), relu("c", "y")], ["y"])
    changed = apply_pass(remove_identities, graph, 2)
    assert types(changed) == ["ReLU", "ReLU"]
    assert changed.layers[-1].inputs == ["a"]


def test_several_readers(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    graph = make_graph((3, 4), [noop("x", "a"), relu("a", "y"), relu("a", "z")], ["y", "z"])
    assert types(apply_pass(remove_identities, graph, 1)) == ["ReLU", "ReLU"]


def test_an_output_keeps_its_name(make_graph: Make, apply_pass: Apply) -> None:
    graph = make_graph(
        (3, 4), [relu("x", "a"), noop("a", "y"), relu("a", "z"), relu("y", "w")], ["y", "z", "w"]
    )
    changed = apply_pass(remove_identities, graph, 1)
    assert changed.layers[1].outputs == ["y"]


def test_between_two_outputs_or_input_and_output_it_stays(make_graph: Make, apply_pass: Apply) -> None:
    apply_pass(remove_identities, make_graph((3, 4), [noop("x", "y")], ["y"]), 0)
    apply_pass(remove_identities, make_graph((3, 4), [relu("x", "a"), noop("a", "y")], ["a", "y"]), 0)


def test_only_one_of_two_names_of_an_output_goes(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    graph = make_graph((3, 4), [relu("x", "a"), noop("a", "y"), noop("a", "z")], ["y", "z"])
    assert types(apply_pass(remove_identities, graph, 1)) == ["ReLU", "Noop"]


def test_reshapes_that_keep_the_shape(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    same = new_layer("Reshape", "r", ["a"], ["b"], w=4, h=3)
    other = new_layer("Reshape", "s", ["b"], ["y"], w=12)
    graph = make_graph((3, 4), [relu("x", "a"), same, other], ["y"])
    apply_pass(remove_identities, graph, 0)  # nothing is known of the shapes
    graph.shapes = {"a": (3, 4), "b": (3, 4), "y": (12,)}
    assert types(apply_pass(remove_identities, graph, 1)) == ["ReLU", "Reshape"]


def test_a_noop_of_two_blobs_stays(make_graph: Make) -> None:
    double = new_layer("Noop", "n", ["x", "x"], ["y", "z"])
    graph = make_graph((3, 4), [double], ["y", "z"])
    assert remove_identities(graph) == 0
