"""The bound on winograd's accumulator: against the runtime, from both sides of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.quantization import ChannelRanges, QuantizeOptions, quantize
from ncnn_tools.quantization.winograd import (
    LIMIT,
    QuantizedRange,
    input_range,
    largest_accumulators,
    positive_blobs,
)
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import MASK_NO_WINOGRAD

Make = Callable[..., Any]


def blocks(total: int, channels: int) -> np.ndarray:
    """Return int8 weights (16, channels, 3, 3), of which each output's sum to `total`, spread over all."""
    count = channels * 9
    base, more = divmod(total, count)
    flat = np.full(count, base)
    flat[:more] += 1
    assert abs(flat).max() <= 127
    return np.tile(flat.reshape(1, channels, 3, 3), (16, 1, 1, 1)).astype(np.float32)


def exact_layer(weight: np.ndarray) -> Layer:
    """Make an int8 convolution "y" of "x" whose scales are 1, without padding: it gives its accumulator."""
    layer = new_layer(
        "Convolution", "y", ["x"], ["y"], num_output=16, kernel_w=3, weight_data_size=weight.size
    )
    layer.set("int8_scale_term", 2)
    layer.set_weight("weight", weight)
    layer.set_weight("weight_scales", np.ones(16))
    layer.set_weight("input_scale", [1.0])
    return layer


@pytest.mark.parametrize("channels", [64, 96])
def test_the_limit_is_where_the_runtime_overflows(make_graph: Make, channels: int) -> None:
    x = np.full((channels, 10, 10), 127, np.float32)
    for total, right in ((LIMIT // 127, True), (LIMIT // 127 + 1, False)):
        weight = blocks(total, channels)
        bound = largest_accumulators(
            weight.reshape(16, channels, 9).astype(np.int8), QuantizedRange(np.array([-127]), np.array([127]))
        )
        assert (bound == 127 * total).all()
        assert (bound <= LIMIT).all() == right
        graph = make_graph(x.shape, [exact_layer(weight)], ["y"])
        y = Runtime.from_graph(graph).run({"x": x}, ["y"])["y"]
        assert (
            np.abs(y - 127 * total) < 2
        ).all() == right  # ncnn divides by 576 in float: it may be off by one


def test_the_bound_is_met_by_the_worst_input() -> None:
    generator = np.random.default_rng(0)
    weight = generator.integers(-127, 128, (5, 7, 9)).astype(np.int8)
    low, high = -generator.integers(0, 128, 7), generator.integers(0, 128, 7)
    bound = largest_accumulators(weight, QuantizedRange(low, high))
    shape = (1, 7, 1)
    upper = np.where(weight > 0, high.reshape(shape), low.reshape(shape))
    lower = np.where(weight > 0, low.reshape(shape), high.reshape(shape))
    sums = [(weight.astype(np.int64) * worst).sum(axis=(1, 2)) for worst in (upper, lower)]
    np.testing.assert_array_equal(bound, np.max(np.abs(sums), axis=0))


def test_the_range_seen_leaves_room_for_twice_of_it_and_holds_zero() -> None:
    low, high = np.array([-1.0, 1.0, 0.0, -9.0], np.float32), np.array([2.0, 3.0, 0.0, -1.0], np.float32)
    seen = ChannelRanges(low, high, np.ones(4))
    found = input_range(False, 10.0, seen)
    assert found.low.tolist() == [-20, 0, 0, -127]
    assert found.high.tolist() == [40, 60, 0, 0]
    assert input_range(True, 10.0, seen).low.tolist() == [0, 0, 0, 0]
    assert input_range(True, 10.0, None) == QuantizedRange(np.array([0]), np.array([127]))


@pytest.mark.parametrize(
    ("layers", "positive"),
    [
        ([new_layer("ReLU", "a", ["x"], ["a"])], {"a"}),
        ([new_layer("ReLU", "a", ["x"], ["a"], slope=0.1)], set()),
        ([new_layer("Clip", "a", ["x"], ["a"], min=0.0, max=6.0)], {"a"}),
        ([new_layer("Clip", "a", ["x"], ["a"], min=-1.0, max=6.0)], set()),
        ([new_layer("Sigmoid", "a", ["x"], ["a"]), new_layer("Split", "s", ["a"], ["b", "c"])], {*"abc"}),
        ([new_layer("Split", "s", ["x"], ["b", "c"])], set()),
        ([new_layer("ReLU", "a", ["x"], ["a"]), new_layer("Concat", "c", ["a", "x"], ["c"])], {"a"}),
        ([new_layer("ReLU", "a", ["x"], ["a"]), new_layer("BinaryOp", "c", ["a"], ["c"])], {"a"}),
    ],
)
def test_positive_blobs(make_graph: Make, layers: list[Layer], positive: set[str]) -> None:
    assert positive_blobs(make_graph((4, 4, 4), layers, [])) == positive


def overflowing(make_graph: Make, channels: int = 128) -> tuple[Graph, np.ndarray]:
    """Make a float layer of which three outputs overflow as int8 winograd, and an input that makes them."""
    generator = np.random.default_rng(1)
    weight = generator.normal(0, 0.05, (16, channels, 3, 3)).astype(np.float32)
    weight[3:, 0, 0, 0] = 1.0  # one large weight, so that the sums of the others' levels stay small
    weight[:3] = np.sign(weight[:3]) * generator.uniform(0.8, 1, weight[:3].shape)
    layer = new_layer(
        "Convolution", "y", ["x"], ["y"], num_output=16, kernel_w=3, weight_data_size=weight.size
    )
    layer.set_weight("weight", weight)
    x = np.ascontiguousarray(np.tile(np.sign(weight[0]), (1, 4, 4)))
    return make_graph((channels, 12, 12), [layer], ["y"]), x


def error(graph: Graph, x: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the largest error of each output."""
    y = Runtime.from_graph(graph).run({"x": x}, ["y"])["y"]
    worst: np.ndarray = np.abs(y - expected).max(axis=(1, 2))
    return worst


def test_nothing_overflows_by_either_preference(make_graph: Make) -> None:
    graph, x = overflowing(make_graph)
    expected = Runtime.from_graph(graph).run({"x": x}, ["y"])["y"]
    masked = quantize(graph, {"x": 1.0})
    narrowed = quantize(graph, {"x": 1.0}, QuantizeOptions(prefer="speed"))
    assert masked.layers[1].feature_mask == MASK_NO_WINOGRAD
    assert narrowed.layers[1].feature_mask == 0
    assert error(masked, x, expected).max() < 4
    assert error(narrowed, x, expected).max() < 12
    del masked.layers[1].params[31]
    assert error(masked, x, expected).max() > 100, "this case should need one of them"
    # Only the outputs that need it lose bits.
    largest = np.abs(narrowed.layers[1].weights["weight"].data.reshape(16, -1)).max(axis=1)
    assert (largest[:3] < 127).all()
    assert (largest[3:] == 127).all()


def test_a_range_that_was_seen_can_free_a_layer(make_graph: Make) -> None:
    graph, _ = overflowing(make_graph)
    narrow = np.full(128, 0.1, np.float32)
    ranges = {"x": ChannelRanges(-narrow, narrow, np.ones(128))}
    assert quantize(graph, {"x": 1.0}).layers[1].feature_mask == MASK_NO_WINOGRAD
    assert quantize(graph, {"x": 1.0}, QuantizeOptions(ranges=ranges)).layers[1].feature_mask == 0


def test_inputs_that_are_never_negative_halve_the_bound(make_graph: Make) -> None:
    graph, _ = overflowing(make_graph, 48)
    behind_relu = graph.copy()
    behind_relu.layers[1].inputs = ["relu"]
    behind_relu.layers.insert(1, new_layer("ReLU", "relu", ["x"], ["relu"]))
    assert quantize(graph, {"x": 1.0}).layers[1].feature_mask == MASK_NO_WINOGRAD
    assert quantize(behind_relu, {"relu": 1.0}).layers[2].feature_mask == 0
