"""Convolutions of the same blob whose results are added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import merge_parallel_convolutions

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
Filled = Callable[..., Layer]
GraphOf = Callable[..., Graph]
Conv = Callable[..., Layer]

CHANNELS = 6
ADD, SUB = 0, 1


@pytest.fixture(scope="session")
def conv(filled: Filled) -> Conv:
    """Make a convolution of six channels, 3x3 with a padding that keeps the size unless said otherwise."""

    def make(target: str, kernel: int = 3, group: int = 1, source: str = "x", **more: Any) -> Layer:
        kernel_h = more.get("kernel_h", kernel)
        params = {
            "num_output": CHANNELS,
            "kernel_w": kernel,
            "weight_data_size": CHANNELS * CHANNELS // group * kernel * kernel_h,
            "bias_term": 1,
            "pad_left": kernel // 2,
            **({"group": group} if group > 1 else {}),
            **more,
        }
        kind = "ConvolutionDepthWise" if group > 1 else "Convolution"
        return filled(new_layer(kind, target, [source], [target], **params))

    return make


@pytest.fixture(scope="session")
def graph_of(make_graph: Callable[..., Graph], with_shapes: Callable[[Graph], Graph]) -> GraphOf:
    def make(*layers: Layer, outputs: Sequence[str] = ("y",), size: tuple[int, int] = (8, 9)) -> Graph:
        return with_shapes(make_graph((CHANNELS, *size), layers, outputs))

    return make


def add(one: str, other: str, target: str = "y", code: int = ADD) -> Layer:
    return new_layer("BinaryOp", target, [one, other], [target], op_type=code)


@pytest.mark.parametrize("code", [ADD, SUB])
@pytest.mark.parametrize("groups", [(1, 1), (6, 6), (2, 2), (3, 6), (1, 6), (1, 2)])
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_larger_and_a_smaller_kernel(
    graph_of: GraphOf,
    conv: Conv,
    apply_pass: Apply,
    types: Types,
    code: int,
    groups: tuple[int, int],
    size: tuple[int, int],
    stride: int,
) -> None:
    first = conv("a", 3, groups[0], stride_w=stride)
    second = conv("b", 1, groups[1], stride_w=stride)
    for inputs in (["a", "b"], ["b", "a"]):
        graph = graph_of(first, second, add(*inputs, code=code), size=size)
        changed = apply_pass(merge_parallel_convolutions, graph, 1)
        assert types(changed) == [first.type]
        assert changed.layers[-1].get("pad_bottom") == 1


@pytest.mark.parametrize("code", [ADD, SUB])
@pytest.mark.parametrize("group", [1, 3, 6])
@pytest.mark.parametrize("first", [False, True])
def test_the_blob_itself(
    graph_of: GraphOf, conv: Conv, apply_pass: Apply, types: Types, code: int, group: int, first: bool
) -> None:
    layer = conv("a", 3, group)
    graph = graph_of(layer, add(*(["x", "a"] if first else ["a", "x"]), code=code))
    assert types(apply_pass(merge_parallel_convolutions, graph, 1)) == [layer.type]


@pytest.mark.parametrize("group", [1, 6])
def test_a_batch_norm_of_the_blob(
    graph_of: GraphOf, conv: Conv, filled: Filled, apply_pass: Apply, types: Types, group: int
) -> None:
    norm = filled(new_layer("BatchNorm", "n", ["x"], ["n"], channels=CHANNELS, eps=1e-5))
    layer = conv("a", 3, group)
    assert types(apply_pass(merge_parallel_convolutions, graph_of(norm, layer, add("n", "a")), 1)) == [
        layer.type
    ]


def test_a_whole_training_time_block(
    graph_of: GraphOf, conv: Conv, filled: Filled, apply_pass: Apply, types: Types
) -> None:
    """As MobileOne's: the norm of the input, a 1x1 and three 3x3, all depthwise."""
    norm = filled(new_layer("BatchNorm", "n", ["x"], ["n"], channels=CHANNELS, eps=1e-5))
    branches = [conv("p", 1, 6), conv("a", 3, 6), conv("b", 3, 6), conv("c", 3, 6)]
    sums = [add("p", "n", "s"), add("s", "a", "t"), add("t", "b", "u"), add("u", "c")]
    graph = graph_of(norm, *branches, *sums)
    assert types(apply_pass(merge_parallel_convolutions, graph, 4)) == ["ConvolutionDepthWise"]


@pytest.mark.parametrize(
    ("first", "second", "taps"),
    [
        ({"kernel": 5}, {"kernel": 3}, (5, 1)),
        ({"kernel": 3, "dilation_w": 2, "pad_left": 2}, {"kernel": 1}, (3, 2)),
        ({"kernel": 5}, {"kernel": 3, "dilation_w": 2, "pad_left": 2}, (5, 1)),
        ({"kernel": 3, "pad_left": 2}, {"kernel": 5, "pad_left": 3}, (5, 1)),
        ({"kernel": 3, "dilation_w": 4, "pad_left": 4}, {"kernel": 3}, None),
        ({"kernel": 3, "kernel_h": 1, "pad_top": 0}, {"kernel": 1, "kernel_h": 3, "pad_top": 1}, None),
    ],
)
def test_which_taps(
    graph_of: GraphOf,
    conv: Conv,
    apply_pass: Apply,
    first: dict[str, int],
    second: dict[str, int],
    taps: tuple[int, int] | None,
) -> None:
    """Merged where the union of both has no more taps than both together."""
    graph = graph_of(conv("a", **first), conv("b", **second), add("a", "b"))
    changed = apply_pass(merge_parallel_convolutions, graph, int(taps is not None))
    if taps:
        assert (changed.layers[-1].get("kernel_w"), changed.layers[-1].get("dilation_w")) == taps


def test_paddings_that_end_at_other_places_stay(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    """With a stride of two both give the same size here, but not for an input that is one larger."""
    one = conv("a", 3, stride_w=2, pad_right=1, pad_bottom=1)
    other = conv("b", 3, stride_w=2, pad_right=0, pad_bottom=0)
    apply_pass(merge_parallel_convolutions, graph_of(one, other, add("a", "b"), size=(8, 8)), 0)


def test_more_weights_than_before_stay(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    """A dense 1x1 and a depthwise 3x3 would make a dense 3x3."""
    apply_pass(merge_parallel_convolutions, graph_of(conv("a", 1), conv("b", 3, 6), add("a", "b")), 0)


def test_other_sums_stay(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    refused: list[list[Layer]] = [
        [conv("a"), conv("b", activation_type=1), add("a", "b")],
        [conv("a"), conv("b", pad_value=1.0), add("a", "b")],
        [conv("a"), new_layer("ReLU", "r", ["x"], ["r"]), conv("b", source="r"), add("a", "b")],
        [conv("a"), new_layer("ReLU", "r", ["x"], ["r"]), add("a", "r")],
        [
            conv("a", stride_w=2),
            new_layer("Pooling", "b", ["x"], ["b"], kernel_w=2, stride_w=2),
            add("a", "b"),
        ],
        [conv("a"), conv("b"), add("a", "b", code=2)],
        [new_layer("ReLU", "a", ["x"], ["a"]), add("a", "a")],
    ]
    for layers in refused:
        apply_pass(merge_parallel_convolutions, graph_of(*layers, size=(8, 8)), 0)


def test_a_summand_that_someone_else_reads_stays(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    layers = [conv("a"), conv("b", 1), add("a", "b")]
    apply_pass(merge_parallel_convolutions, graph_of(*layers, outputs=("y", "a")), 0)
    graph = graph_of(*layers, new_layer("TanH", "z", ["a"], ["z"]), outputs=("y", "z"))
    apply_pass(merge_parallel_convolutions, graph, 0)


def test_a_sum_that_broadcasts_stays(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    pooled = new_layer("Pooling", "p", ["b"], ["p"], pooling_type=1, adaptive_pooling=1, out_w=1)
    apply_pass(merge_parallel_convolutions, graph_of(conv("a"), conv("b", 1), pooled, add("a", "p")), 0)
