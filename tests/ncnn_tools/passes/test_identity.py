"""Layers that give what they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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


def layer(kind: str, **params: Any) -> Layer:
    return new_layer(kind, "i", ["a"], ["b"], **params)


@pytest.mark.parametrize(
    "identity",
    [
        layer("Concat"),
        layer("Slice", slices=(-233,)),
        layer("Crop", starts=(0,), ends=(4,), axes=(1,)),
        layer("Padding"),
        layer("Interp", resize_type=2, output_width=5, output_height=4),
        layer("Interp", resize_type=3, output_width=5, output_height=4),
        layer("PixelShuffle", upscale_factor=1),
        layer("ExpandDims"),
        layer("Pooling", kernel_w=1, stride_w=1),
        layer("Pooling", pooling_type=1, kernel_w=1, stride_w=1),
        layer("Permute", order_type=0),
        layer("ShuffleChannel", group=1),
        layer("ShuffleChannel", group=3),
        layer("Clip"),
        layer("Dropout"),
        layer("BinaryOp", op_type=0, with_scalar=1, b=0.0),
        layer("BinaryOp", op_type=2, with_scalar=1, b=1.0),
    ],
    ids=lambda identity: identity.type,
)
def test_identities(
    make_graph: Make, with_shapes: Callable[[Graph], Graph], apply_pass: Apply, types: Types, identity: Layer
) -> None:
    graph = with_shapes(make_graph((3, 4, 5), [relu("x", "a"), identity, relu("b", "y")], ["y"]))
    assert types(apply_pass(remove_identities, graph, 1)) == ["ReLU", "ReLU"]


@pytest.mark.parametrize("order", [["m", "a"], ["a", "m"]])
def test_a_constant_of_zeros(
    make_graph: Make, with_shapes: Callable[[Graph], Graph], apply_pass: Apply, types: Types, order: list[str]
) -> None:
    memory = new_layer("MemoryData", "m", [], ["m"], w=1, h=1, c=3)
    memory.set_weight("data", [0, 0, 0])
    addition = new_layer("BinaryOp", "y", order, ["y"])
    graph = with_shapes(make_graph((3, 4, 5), [relu("x", "a"), memory, addition], ["y"]))
    assert types(apply_pass(remove_identities, graph, 1)) == ["ReLU", "MemoryData"]


@pytest.mark.parametrize(
    "changing",
    [
        layer("Pooling", kernel_w=3, stride_w=1, pad_left=1),
        layer("Permute", order_type=2),
        layer("ShuffleChannel", group=2),
        layer("Clip", min=0.0),
        layer("Dropout", scale=0.5),
        layer("BinaryOp", op_type=7, with_scalar=1, b=0.0),
        layer("Concat", axis=1),
    ],
    ids=lambda changing: changing.type,
)
def test_what_keeps_only_the_shape_stays(
    make_graph: Make, with_shapes: Callable[[Graph], Graph], apply_pass: Apply, changing: Layer
) -> None:
    if changing.type == "Concat":
        changing = new_layer("Concat", "i", ["a", "a"], ["b"], axis=1)
    graph = with_shapes(make_graph((4, 3, 3), [relu("x", "a"), changing, relu("b", "y")], ["y"]))
    apply_pass(remove_identities, graph, 0)
