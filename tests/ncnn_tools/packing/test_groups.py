"""Which channels are padded together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ncnn_tools.packing import aligned_widths, pad_channels, padding_groups
from ncnn_tools.packing.layout import Layout

Make = Callable[..., Any]


def names(graph: Any) -> dict[str, int]:
    return {group.name: group.channels for group in padding_groups(graph)}


def test_a_sum_ties_its_operands(new_builder: Make) -> None:
    build = new_builder()
    first, second = build.convolution("x", 8), build.convolution("x", 8)
    total = build.prelu(build.plain("BinaryOp", first, second))
    graph = build.graph(build.convolution(total, 8))
    (group,) = padding_groups(graph)
    assert (group.name, group.channels) == (first, 8)
    assert {first, second, total} <= set(group.blobs)
    assert group.layers[:2] == (first, second)
    assert group.layers[-1].startswith("convolution")


def test_a_concat_holds_groups_side_by_side(new_builder: Make) -> None:
    build = new_builder()
    first, second = build.convolution("x", 8), build.convolution("x", 16)
    joined = build.concat(first, second)
    graph = build.graph(build.convolution(joined, 8))
    groups = {group.name: group for group in padding_groups(graph)}
    assert list(groups)[:2] == [first, second]
    assert joined in groups[first].blobs
    assert joined in groups[second].blobs


def test_a_sum_with_a_concat_is_padded_where_its_parts_end(new_builder: Make) -> None:
    build = new_builder()
    whole, first, second = (build.convolution("x", count) for count in (12, 4, 8))
    total = build.plain("BinaryOp", whole, build.concat(first, second))
    graph = build.graph(build.convolution(total, 8))
    found = names(graph)
    assert found[first] == 4
    assert found[second] == 8
    assert whole not in found
    padded = pad_channels(graph, {first: 5, second: 11})
    assert padded.shapes[total][0] == 12 + 1 + 3


def test_few_channels_get_a_crop_of_their_own(new_builder: Make) -> None:
    build = new_builder()
    first = build.convolution("x", 3)
    graph = build.graph(build.convolution(build.prelu(first), 8))
    assert names(graph) == {f"{first}_crop": 3, first: 3}
    cropped = pad_channels(graph, {f"{first}_crop": 8})
    assert cropped.shapes[first] == (3, 12, 12)
    assert cropped.shapes[f"{first}_padded"] == (8, 12, 12)
    wider = pad_channels(graph, {first: 8})
    assert wider.shapes[first] == (8, 12, 12)
    assert f"{first}_padded" not in wider.shapes
    both = pad_channels(graph, {first: 4, f"{first}_crop": 8})
    assert (both.shapes[f"{first}_padded"][0], both.shapes[first][0]) == (8, 4)


def test_aligned_widths(new_builder: Make) -> None:
    build = new_builder()
    graph = build.graph(build.convolution(build.convolution("x", 12), 2))
    assert set(aligned_widths(graph, 4).values()) == {4}
    assert set(aligned_widths(graph, 8).values()) == {16, 8}


def test_names_are_stable(new_builder: Make) -> None:
    build = new_builder()
    graph = build.graph(build.convolution(build.concat("x", build.convolution("x", 5)), 2))
    assert names(graph) == names(graph.copy())


def test_a_layout_tells_the_channels_of_the_padded_graph(new_builder: Make) -> None:
    build = new_builder()
    joined = build.concat("x", build.convolution("x", 5), build.convolution("x", 6))
    graph = build.graph(build.convolution(joined, 2))
    layout = Layout(graph)
    for widths in (layout.aligned(8), layout.filled(8), layout.filled(4), layout.cropped(8), layout.plain):
        padded = pad_channels(graph, layout.named(widths))
        assert {blob: shape[0] for blob, shape in padded.shapes.items()} == {
            blob: layout.channels(blob, widths) for blob in padded.shapes
        }
