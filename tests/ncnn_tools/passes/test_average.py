"""Average pooling of pictures as a convolution."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import average_by_convolution

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
GraphOf = Callable[..., Graph]


@pytest.fixture(scope="session")
def graph_of(graph_behind_relu: GraphOf) -> GraphOf:
    return functools.partial(graph_behind_relu, shape=(3, 9, 12))


def pooling(**changed: int) -> Layer:
    params = {"pooling_type": 1, "kernel_w": 3, "stride_w": 2, "pad_left": 1, "pad_mode": 1}
    return new_layer("Pooling", "y", ["a"], ["y"], **params | {"avgpool_count_include_pad": 1} | changed)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pads", [{}, {"pad_left": 0}, {"pad_right": 0, "pad_bottom": 2}])
def test_averages_of_few_channels(
    graph_of: GraphOf, apply_pass: Apply, types: Types, channels: int, stride: int, pads: dict[str, int]
) -> None:
    graph = graph_of(pooling(stride_w=stride, **pads), shape=(channels, 9, 12))
    assert types(apply_pass(average_by_convolution, graph, 1)) == ["ReLU", "ConvolutionDepthWise"]


def test_without_padding_it_does_not_matter_whether_it_counts(graph_of: GraphOf, apply_pass: Apply) -> None:
    apply_pass(average_by_convolution, graph_of(pooling(pad_left=0, avgpool_count_include_pad=0)), 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"pooling_type": 0},
        {"avgpool_count_include_pad": 0},
        {"pad_mode": 0},
        {"pad_mode": 2},
        {"kernel_w": 2},
        {"kernel_h": 2},
        {"stride_w": 3},
        {"stride_h": 1},
        {"global_pooling": 1},
        {"adaptive_pooling": 1, "out_w": 3, "out_h": 3},
    ],
)
def test_others_stay(graph_of: GraphOf, apply_pass: Apply, changed: dict[str, int]) -> None:
    apply_pass(average_by_convolution, graph_of(pooling(**changed)), 0)


def test_channels_that_fill_a_vector_stay(graph_of: GraphOf, apply_pass: Apply) -> None:
    apply_pass(average_by_convolution, graph_of(pooling(), shape=(4, 9, 12)), 0)
