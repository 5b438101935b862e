"""Layers that compute the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, Storage, Weight, new_layer
from ncnn_tools.passes import merge_duplicates

Make = Callable[..., Graph]
Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]


def relu(source: str, target: str, slope: float = 0.0) -> Layer:
    return new_layer("ReLU", target, [source], [target], slope=slope)


def add(left: str, right: str, target: str = "y") -> Layer:
    return new_layer("BinaryOp", target, [left, right], [target])


def scale(source: str, target: str, values: list[float]) -> Layer:
    layer = new_layer("Scale", target, [source], [target], scale_data_size=len(values))
    layer.set_weight("scale", values)
    return layer


def test_equal_layers_merge(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    graph = make_graph((3, 4), [relu("x", "a"), relu("x", "b"), add("a", "b")], ["y"])
    changed = apply_pass(merge_duplicates, graph, 1)
    assert types(changed) == ["ReLU", "BinaryOp"]
    assert changed.layers[-1].inputs == ["a", "a"]


def test_layers_that_become_equal_merge_too(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    two = [relu("x", "a"), relu("x", "b"), scale("a", "c", [1, 2, 3]), scale("b", "d", [1, 2, 3])]
    graph = make_graph((3, 4), [*two, add("c", "d")], ["y"])
    assert types(apply_pass(merge_duplicates, graph, 2)) == ["ReLU", "Scale", "BinaryOp"]


def test_layers_of_several_outputs_merge(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    cuts = [new_layer("Slice", n, ["x"], [f"{n}0", f"{n}1"], slices=(2, 2), axis=1) for n in ("p", "q")]
    graph = make_graph((3, 4), [*cuts, add("p0", "q1"), add("p1", "q0", "z")], ["y", "z"])
    assert types(apply_pass(merge_duplicates, graph, 1)) == ["Slice", "BinaryOp", "BinaryOp"]


def test_other_inputs_parameters_or_weights_do_not_merge(make_graph: Make, apply_pass: Apply) -> None:
    for first, second in [
        (relu("x", "a"), relu("x", "b", 0.5)),
        (relu("x", "a", 0.0), relu("x", "b", -0.0)),
        (scale("x", "a", [1, 2, 3]), scale("x", "b", [1, 2, 4])),
        (new_layer("Sigmoid", "a", ["x"], ["a"]), new_layer("TanH", "b", ["x"], ["b"])),
    ]:
        apply_pass(merge_duplicates, make_graph((3, 4), [first, second, add("a", "b")], ["y"]), 0)
    swapped = [relu("x", "r"), new_layer("BinaryOp", "a", ["x", "r"], ["a"], op_type=1)]
    swapped.append(new_layer("BinaryOp", "b", ["r", "x"], ["b"], op_type=1))
    apply_pass(merge_duplicates, make_graph((3, 4), [*swapped, add("a", "b")], ["y"]), 0)


def test_an_integer_in_a_floats_place_is_another_value(make_graph: Make, apply_pass: Apply) -> None:
    """ncnn reads the integer 1 as the smallest of all floats there."""
    second = relu("x", "b", 1.0)
    second.params[0] = 1
    apply_pass(merge_duplicates, make_graph((3, 4), [relu("x", "a", 1.0), second, add("a", "b")], ["y"]), 0)


def test_weights_behind_another_codebook_do_not_merge(make_graph: Make, apply_pass: Apply) -> None:
    layers = []
    for name, factor in (("a", 1), ("b", 2)):
        layer = new_layer("InnerProduct", name, ["x"], [name], num_output=2, weight_data_size=24)
        book = factor * np.arange(256, dtype=np.float32)
        layer.weights["weight"] = Weight(np.arange(24, dtype=np.uint8), Storage.CODEBOOK, book, tag=1)
        layers.append(layer)
    apply_pass(merge_duplicates, make_graph((12,), [*layers, add("a", "b")], ["y"]), 0)


@pytest.mark.parametrize("outputs", [["y", "b"], ["y", "a", "b"]])
def test_an_output_of_the_model_keeps_its_layer(
    make_graph: Make, apply_pass: Apply, outputs: list[str]
) -> None:
    layers = [relu("x", "a"), relu("x", "b"), add("a", "b")]
    apply_pass(merge_duplicates, make_graph((3, 4), layers, outputs), 0)


def test_a_later_layer_reads_an_output_that_came_first(make_graph: Make, apply_pass: Apply) -> None:
    layers = [relu("x", "a"), relu("x", "b"), add("a", "b")]
    changed = apply_pass(merge_duplicates, make_graph((3, 4), layers, ["y", "a"]), 1)
    assert changed.layers[-1].inputs == ["a", "a"]


def test_equal_inputs_do_not_merge(make_graph: Make, apply_pass: Apply) -> None:
    other = new_layer("Input", "z", [], ["z"], w=4, h=3)
    apply_pass(merge_duplicates, make_graph((3, 4), [other, add("x", "z")], ["y"]), 0)
