"""The channel shuffle recognized."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from onnx import helper

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.passes import fuse_channel_shuffles

Make = Callable[..., Graph]
Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]


def shuffle(make_graph: Make, groups: int, channels: int, order: int = 6, height: int = 4) -> Graph:
    each = channels // groups
    layers = [
        new_layer("Reshape", "r1", ["x"], ["a"], w=5, h=height, d=each, c=groups),
        new_layer("Permute", "p", ["a"], ["b"], order_type=order),
        new_layer("Reshape", "r2", ["b"], ["y"], w=5, h=height, c=channels),
    ]
    graph = make_graph((channels, height, 5), layers, ["y"])
    whole = (channels, height, 5)
    graph.shapes = {
        "x": whole,
        "a": (groups, each, height, 5),
        "b": (each, groups, height, 5),
        "y": whole,
    }
    return graph


@pytest.mark.parametrize(("groups", "channels"), [(2, 8), (3, 12), (4, 4), (8, 8), (3, 240), (1, 8), (2, 6)])
def test_shuffles_are_recognized(
    make_graph: Make, apply_pass: Apply, types: Types, groups: int, channels: int
) -> None:
    changed = apply_pass(fuse_channel_shuffles, shuffle(make_graph, groups, channels), 1)
    assert types(changed) == ["ShuffleChannel"]
    assert changed.layers[-1].get("group") == groups


def test_two_in_a_row(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    graph, second = shuffle(make_graph, 2, 12), shuffle(make_graph, 3, 12)
    for old in ("a", "b", "y"):
        second.rename_blob(old, f"{old}2")
    second.rename_blob("x", "y")
    graph.layers += second.layers[1:]
    graph.shapes |= {"a2": second.shapes["a"], "b2": second.shapes["b"], "y2": second.shapes["y"]}
    graph.outputs = ["y2"]
    assert types(apply_pass(fuse_channel_shuffles, graph, 2)) == ["ShuffleChannel", "ShuffleChannel"]


def test_other_orders_are_left_alone(make_graph: Make, apply_pass: Apply) -> None:
    for order in (0, 1, 2, 7):
        apply_pass(fuse_channel_shuffles, shuffle(make_graph, 2, 8, order), 0)


def test_other_shapes_are_left_alone(make_graph: Make, apply_pass: Apply) -> None:
    graph = shuffle(make_graph, 2, 8)
    graph.layers[-1] = new_layer("Reshape", "r2", ["b"], ["y"], w=20, h=8)
    graph.shapes["y"] = (8, 20)
    apply_pass(fuse_channel_shuffles, graph, 0)


def test_height_in_the_swap_is_left_alone(make_graph: Make, apply_pass: Apply) -> None:
    """(8, 4, 5) seen as (4, 2, 4, 5) is a shuffle of channels, seen as (8, 2, 2, 5) it is not."""
    graph = shuffle(make_graph, 4, 8)
    graph.layers[1] = new_layer("Reshape", "r1", ["x"], ["a"], w=5, h=2, d=2, c=8)
    graph.shapes |= {"a": (8, 2, 2, 5), "b": (2, 8, 2, 5)}
    apply_pass(fuse_channel_shuffles, graph, 0)


def test_unknown_shapes_are_left_alone(make_graph: Make, apply_pass: Apply) -> None:
    graph = shuffle(make_graph, 2, 8)
    del graph.shapes["a"]
    apply_pass(fuse_channel_shuffles, graph, 0)


@pytest.mark.parametrize("blob", ["a", "b"])
def test_an_output_or_a_second_reader_in_the_middle_stops_it(
    make_graph: Make, apply_pass: Apply, blob: str
) -> None:
    graph = shuffle(make_graph, 2, 8)
    graph.outputs.append(blob)
    apply_pass(fuse_channel_shuffles, graph, 0)
    graph = shuffle(make_graph, 2, 8)
    graph.layers.append(Layer("ReLU", "relu", [blob], ["z"]))
    graph.outputs.append("z")
    apply_pass(fuse_channel_shuffles, graph, 0)


def test_as_it_comes_from_onnx(
    make_model: Callable[..., onnx.ModelProto], apply_pass: Apply, types: Types
) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "five"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["b", "four"], ["y"]),
    ]
    constants = {"five": [1, 3, 4, 5, 6], "four": [1, 12, 5, 6]}
    graph = convert_onnx(make_model(nodes, {"x": (1, 12, 5, 6)}, ["y"], constants))
    assert types(apply_pass(fuse_channel_shuffles, graph, 1)) == ["ShuffleChannel"]
