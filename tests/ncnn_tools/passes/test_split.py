"""The Split layers that ncnn's files need."""

from __future__ import annotations

from collections.abc import Callable

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import insert_splits

Make = Callable[..., Graph]
Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]


def relu(source: str, target: str) -> Layer:
    return new_layer("ReLU", target, [source], [target])


def sole_consumers(graph: Graph) -> bool:
    return all(len(readers) == 1 for readers in graph.consumers().values())


def test_no_split_where_none_is_needed(make_graph: Make, apply_pass: Apply) -> None:
    apply_pass(insert_splits, make_graph((3, 4), [relu("x", "a"), relu("a", "y")], ["y"]), 0)


def test_a_blob_with_three_readers(make_graph: Make, apply_pass: Apply) -> None:
    readers = [relu("a", "p"), relu("a", "q"), relu("a", "r")]
    changed = apply_pass(insert_splits, make_graph((3, 4), [relu("x", "a"), *readers], ["p", "q", "r"]), 1)
    split = changed.layers[2]
    assert (split.type, split.inputs, split.outputs) == (
        "Split",
        ["a"],
        ["a_split_0", "a_split_1", "a_split_2"],
    )
    assert [layer.inputs for layer in changed.layers[3:]] == [[branch] for branch in split.outputs]
    assert sole_consumers(changed)


def test_a_layer_that_reads_a_blob_twice(make_graph: Make, apply_pass: Apply) -> None:
    changed = apply_pass(
        insert_splits, make_graph((3, 4), [new_layer("BinaryOp", "y", ["x", "x"], ["y"])], ["y"]), 1
    )
    assert changed.layers[-1].inputs == ["x_split_0", "x_split_1"]
    assert changed.inputs == ["x"]


def test_an_output_that_is_read_keeps_its_name_and_is_not_consumed(
    make_graph: Make, apply_pass: Apply
) -> None:
    changed = apply_pass(insert_splits, make_graph((3, 4), [relu("x", "y"), relu("y", "z")], ["y", "z"]), 1)
    split = changed.layers[2]
    assert (split.inputs, split.outputs) == (["y_whole"], ["y", "y_split_1"])
    assert "y" not in changed.consumers()


def test_several_outputs_of_one_layer(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    halves = new_layer("Slice", "s", ["x"], ["a", "b"], slices=(2, 2), axis=1)
    readers = [relu("a", "p"), relu("b", "q"), relu("b", "r"), relu("a", "t")]
    changed = apply_pass(insert_splits, make_graph((3, 4), [halves, *readers], ["p", "q", "r", "t"]), 2)
    assert types(changed).count("Split") == 2
    assert sole_consumers(changed)


def test_names_that_are_taken_are_avoided(make_graph: Make, apply_pass: Apply) -> None:
    layers = [relu("x", "a"), relu("a", "a_split_0"), relu("a", "a_whole"), relu("a_whole", "y")]
    changed = apply_pass(insert_splits, make_graph((3, 4), layers, ["y", "a_split_0", "a"]), 1)
    assert sole_consumers(changed)


def test_what_is_known_of_a_blob_holds_for_its_branches(make_graph: Make) -> None:
    graph = make_graph((3, 4), [relu("x", "y"), relu("y", "z")], ["y", "z"])
    graph.origins, graph.shapes = {"y": "Y"}, {"y": (1, 3, 4)}
    insert_splits(graph)
    assert graph.origins == dict.fromkeys(["y", "y_whole", "y_split_1"], "Y")
    assert graph.shapes == dict.fromkeys(["y", "y_whole", "y_split_1"], (1, 3, 4))


def test_doing_it_twice_changes_nothing(make_graph: Make, apply_pass: Apply) -> None:
    graph = make_graph((3, 4), [relu("x", "y"), relu("y", "z"), relu("y", "w")], ["y", "z", "w"])
    apply_pass(insert_splits, apply_pass(insert_splits, graph, 1), 0)
