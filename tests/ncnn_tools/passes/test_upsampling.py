"""1x1 convolutions before Interp rather than after."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import convolve_before_upsampling, split_convolutions_of_enlarged

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
Filled = Callable[..., Layer]
GraphOf = Callable[..., Graph]
Conv = Callable[..., Layer]

CHANNELS = 64


@pytest.fixture(scope="session")
def conv(filled: Filled) -> Conv:
    def make(source: str, target: str, inputs: int = CHANNELS, outputs: int = CHANNELS, **more: Any) -> Layer:
        params = {"num_output": outputs, "kernel_w": 1, "weight_data_size": inputs * outputs, "bias_term": 1}
        return filled(new_layer("Convolution", target, [source], [target], **{**params, **more}))

    return make


@pytest.fixture(scope="session")
def graph_of(graph_behind_relu: GraphOf) -> GraphOf:
    return functools.partial(graph_behind_relu, shape=(CHANNELS, 4, 5))


def enlarge(source: str, target: str, mode: int = 2, width: int = 10, height: int = 8, **more: Any) -> Layer:
    params = {"resize_type": mode, "output_width": width, "output_height": height}
    return new_layer("Interp", target, [source], [target], **params, **more)


@pytest.mark.parametrize("mode", [1, 2, 3])
@pytest.mark.parametrize("align", [0, 1])
def test_convolve_first(
    graph_of: GraphOf, conv: Conv, apply_pass: Apply, types: Types, mode: int, align: int
) -> None:
    graph = graph_of(enlarge("a", "b", mode, align_corner=align), conv("b", "y", outputs=48))
    changed = apply_pass(convolve_before_upsampling, graph, 1)
    assert types(changed) == ["ReLU", "Convolution", "Interp"]
    assert changed.shapes["y_small"] == (48, 4, 5)
    assert changed.origins["y"] == "y"


def test_many_more_channels_stay(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    """Enlarging them would cost more than is saved."""
    layers = [enlarge("a", "b"), conv("b", "y", inputs=4, outputs=256)]
    apply_pass(convolve_before_upsampling, graph_of(*layers, shape=(4, 4, 5)), 0)


def test_shrinking_stays(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    layers = [enlarge("a", "b", width=3, height=3), conv("b", "y")]
    apply_pass(convolve_before_upsampling, graph_of(*layers), 0)


def test_other_convolutions_stay(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    kinds: list[dict[str, int]] = [
        {"kernel_w": 3, "weight_data_size": 9 * CHANNELS**2},
        {"stride_w": 2},
        {"pad_left": 1},
        {"activation_type": 1},
    ]
    for more in kinds:
        apply_pass(convolve_before_upsampling, graph_of(enlarge("a", "b"), conv("b", "y", **more)), 0)


def test_what_someone_else_reads_stays(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    layers = [enlarge("a", "b"), conv("b", "y")]
    apply_pass(convolve_before_upsampling, graph_of(*layers, outputs=("y", "b")), 0)


def test_an_activation_that_could_be_fused_counts(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    layers = [enlarge("a", "b"), conv("b", "c", inputs=8, outputs=8)]
    apply_pass(convolve_before_upsampling, graph_of(layers[0], conv("b", "y", 8, 8), shape=(8, 4, 5)), 1)
    relu = new_layer("ReLU", "y", ["c"], ["y"])
    apply_pass(convolve_before_upsampling, graph_of(*layers, relu, shape=(8, 4, 5)), 0)


def concat(sources: Sequence[str], target: str = "c") -> Layer:
    return new_layer("Concat", target, list(sources), [target], axis=0)


def parts(count: int) -> list[Layer]:
    """Make "p0", "p1", …: pooled from "a", so smaller."""
    return [
        new_layer("Pooling", f"p{i}", ["a"], [f"p{i}"], kernel_w=2 + i, stride_w=2, pad_mode=1)
        for i in range(count)
    ]


@pytest.mark.parametrize("full", [0, 1, 2])
def test_parts_of_a_concat(graph_of: GraphOf, conv: Conv, apply_pass: Apply, types: Types, full: int) -> None:
    """Two enlarged parts, and none, one or two others, which keep their Concat."""
    enlarged = [enlarge("p0", "b0"), enlarge("p1", "b1")]
    others = [new_layer("TanH", f"t{i}", ["a"], [f"t{i}"]) for i in range(full)]
    order = [blob for blob in ["t0", "b0", "t1", "b1"] if blob[0] == "b" or int(blob[1]) < full]
    layers = [*parts(2), *enlarged, *others, concat(order), conv("c", "y", CHANNELS * (2 + full))]
    graph = graph_of(*layers, shape=(CHANNELS, 8, 10))
    changed = apply_pass(split_convolutions_of_enlarged, graph, 1)
    kinds = types(changed)
    assert kinds.count("Convolution") == 2 + (full > 0)
    assert kinds.count("Concat") == int(full == 2)
    assert "c" not in changed.origins
    again = apply_pass(convolve_before_upsampling, changed, 2)
    assert types(again).index("Convolution") < types(again).index("Interp")


def test_parts_that_are_not_worth_it_stay(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    """A sum of 256 channels to save the convolution of four."""
    layers = [
        *parts(1),
        enlarge("p0", "b"),
        new_layer("TanH", "t", ["a"], ["t"]),
        concat(["t", "b"]),
        conv("c", "y", 8, 256),
    ]
    apply_pass(split_convolutions_of_enlarged, graph_of(*layers, shape=(4, 8, 10)), 0)


def test_a_concat_that_someone_else_reads_stays(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    layers = [*parts(1), enlarge("p0", "b"), concat(["a", "b"]), conv("c", "y", 2 * CHANNELS)]
    graph = graph_of(*layers, outputs=("y", "c"), shape=(CHANNELS, 8, 10))
    apply_pass(split_convolutions_of_enlarged, graph, 0)
    other = [*layers[:2], new_layer("Concat", "c", ["a", "b"], ["c"], axis=2), conv("c", "y")]
    apply_pass(split_convolutions_of_enlarged, graph_of(*other, shape=(CHANNELS, 8, 10)), 0)
