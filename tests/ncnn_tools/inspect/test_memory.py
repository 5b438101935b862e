"""The peak of activations, on networks small enough to follow by hand: a blob has 400 bytes if not less."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from ncnn_tools.cost import BlobSize
from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.inspect.memory import Peak, execution_order, peak_activations

Make = Callable[..., Graph]

WHOLE, HALF, TENTH = BlobSize((4, 5, 5)), BlobSize((2, 5, 5)), BlobSize((10,))


def pool(source: str, target: str) -> Layer:
    return new_layer("Pooling", target, [source], [target], kernel_w=1)


def relu(source: str, target: str) -> Layer:
    return new_layer("ReLU", target, [source], [target])


def split(source: str, *targets: str) -> Layer:
    return new_layer("Split", f"split_{source}", [source], list(targets))


def add(name: str, *sources: str) -> Layer:
    return new_layer("BinaryOp", name, list(sources), [name])


def peak(graph: Graph, **sizes: BlobSize) -> Peak:
    everything = {blob: sizes.get(blob, WHOLE) for blob in graph.blobs()}
    return peak_activations(graph, everything, graph.outputs)


def test_a_blob_is_free_once_it_is_read(make_graph: Make) -> None:
    chain = make_graph((4, 5, 5), [pool("x", "a"), pool("a", "b"), pool("b", "c"), pool("c", "d")], ["d"])
    assert peak(chain) == Peak(1200, "b")  # the input, which the caller holds, and two more
    assert peak(chain, x=TENTH, c=HALF) == Peak(840, "b")
    assert peak(chain, x=TENTH, a=TENTH, b=TENTH) == Peak(840, "d")


def test_a_layer_in_place_takes_no_memory_but_for_what_others_hold(make_graph: Make) -> None:
    assert peak(make_graph((4, 5, 5), [pool("x", "a"), relu("a", "b"), relu("b", "c")], ["c"])).bytes == 800
    # The caller holds the input, so that it is copied.
    assert peak(make_graph((4, 5, 5), [relu("x", "a"), relu("a", "b")], ["b"])) == Peak(800, "a")


def test_a_scalar_is_added_in_place(make_graph: Make) -> None:
    scalar = new_layer("BinaryOp", "s", ["a"], ["s"], with_scalar=1, b=2.0)
    assert peak(make_graph((4, 5, 5), [pool("x", "a"), scalar], ["s"])).bytes == 800
    other = [pool("x", "a"), split("a", "b", "c"), add("s", "b", "c")]
    assert peak(make_graph((4, 5, 5), other, ["s"])).bytes == 1200


def test_split_hands_out_references(make_graph: Make) -> None:
    layers = [pool("x", "a"), split("a", "b", "c"), relu("b", "d"), pool("c", "e"), add("y", "d", "e")]
    # input, a, the copy d that ReLU makes since c still holds a; then input, d, a, e; then input, d, e, y
    assert peak(make_graph((4, 5, 5), layers, ["y"])) == Peak(1600, "e")
    assert peak(make_graph((4, 5, 5), layers, ["y"]), x=TENTH, y=TENTH) == Peak(1240, "e")
    # With the order of the operands the order of the branches changes: now ReLU comes last, and works in place.
    swapped = [*layers[:-1], add("y", "e", "d")]
    assert peak(make_graph((4, 5, 5), swapped, ["y"]), x=TENTH, y=TENTH) == Peak(880, "y")


def test_a_branch_waits_until_the_other_is_there(make_graph: Make) -> None:
    layers = [split("x", "a", "b"), pool("a", "c"), pool("b", "d"), pool("d", "e"), add("y", "c", "e")]
    graph = make_graph((4, 5, 5), layers, ["y"])
    assert [layer.name for layer in execution_order(graph, ["y"])] == ["split_x", "c", "d", "e", "y"]
    assert peak(graph).bytes == 1600  # input, c, d, e


def test_what_the_first_output_does_not_need_runs_later(make_graph: Make) -> None:
    layers = [split("x", "a", "b"), pool("a", "big"), pool("big", "first"), pool("b", "second")]
    graph = make_graph((4, 5, 5), layers, ["second", "first"])
    assert [layer.name for layer in execution_order(graph, graph.outputs)] == [
        "split_x", "second", "big", "first",
    ]  # fmt: skip
    assert peak(graph) == Peak(1600, "first")  # input, second, big, first
    sizes = dict.fromkeys(graph.blobs(), WHOLE)
    assert peak_activations(graph, sizes, ["first"]) == Peak(1200, "first")


def test_an_int8_blob_is_a_quarter(make_graph: Make) -> None:
    chain = make_graph((4, 5, 5), [pool("x", "a"), pool("a", "b")], ["b"])
    assert peak(chain, a=BlobSize((4, 5, 5), 8), b=BlobSize((4, 5, 5), 8)).bytes == 600


def test_graphs_that_ncnn_could_not_run(make_graph: Make) -> None:
    twice = make_graph((4, 5, 5), [pool("x", "a"), pool("x", "b")], ["a", "b"])
    with pytest.raises(GraphError, match="blob 'x' has several readers"):
        peak(twice)
    orphan = make_graph((4, 5, 5), [add("y", "x", "nobody")], ["y"])
    with pytest.raises(GraphError, match="no layer gives the blob 'nobody'"):
        peak(orphan)


def test_depth_is_no_limit(make_graph: Make) -> None:
    names = ["x", *(f"b{number}" for number in range(5000))]
    chain = make_graph((4, 5, 5), [relu(a, b) for a, b in pairwise(names)], names[-1:])
    assert peak(chain).bytes == 800
