"""A padded network on arm64 CPUs: other kernels than the plain one's, the same outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.half_precision import store_as_fp16
from ncnn_tools.packing import aligned_widths, pad_channels, padding_groups
from ncnn_tools.passes import insert_splits
from ncnn_tools.runtime import Runtime

SIZE = 20


def convolution(
    random: np.random.Generator, source: str, target: str, inputs: int, outputs: int, **params: Any
) -> Layer:
    kernel = params.setdefault("kernel_w", 3)
    fan_in = inputs * kernel * kernel
    layer = new_layer(
        "Convolution",
        target,
        [source],
        [target],
        num_output=outputs,
        weight_data_size=outputs * fan_in,
        bias_term=1,
        pad_left=kernel // 2,
        **params,
    )
    layer.set_weight("weight", random.normal(0, fan_in**-0.5, outputs * fan_in))
    layer.set_weight("bias", random.normal(0, 0.2, outputs))
    return layer


def network() -> Graph:
    """A dense block of 2 channels each as in esp_dense_seg, beside the averaged input as in seg_matting."""
    random = np.random.default_rng(0)
    slopes = new_layer("PReLU", "act", ["total"], ["act"], num_slope=12)
    slopes.set_weight("slope", random.normal(0, 0.3, 12))
    layers = [
        new_layer("Input", "x", [], ["x"], w=SIZE, h=SIZE, c=3),
        convolution(random, "x", "stem", 3, 12, stride_w=2),
        new_layer("Pooling", "small", ["x"], ["small"], pooling_type=1, kernel_w=2, stride_w=2),
        convolution(random, "stem", "a", 12, 4, kernel_w=1),
        convolution(random, "a", "b", 4, 4, activation_type=1),
        new_layer("Concat", "ab", ["a", "b"], ["ab"]),
        convolution(random, "ab", "c", 8, 4, activation_type=4),
        new_layer("Concat", "abc", ["ab", "c"], ["abc"]),
        new_layer("BinaryOp", "total", ["stem", "abc"], ["total"]),
        slopes,
        new_layer("Concat", "all", ["small", "act"], ["all"]),
        convolution(random, "all", "deep", 15, 24),
        convolution(random, "deep", "y", 24, 2),
    ]
    graph = Graph(layers, ["y"])
    insert_splits(graph)
    zeros = {"x": np.zeros((3, SIZE, SIZE), np.float32)}
    found = Runtime.from_graph(graph).run(zeros, graph.blobs())
    graph.shapes = {blob: values.shape for blob, values in found.items()}
    return graph


@pytest.mark.parametrize("multiple", [4, 8])
@pytest.mark.parametrize(("cpu", "fp16"), [("cortex-a53", False), ("cortex-a76", True)])
def test_padding_adds_no_error(
    run_emulated: Callable[..., dict[str, np.ndarray]], cpu: str, fp16: bool, multiple: int
) -> None:
    graph = network()
    padded = pad_channels(graph, aligned_widths(graph, multiple))
    assert len(padding_groups(graph)) > 8
    feeds = {"x": np.random.default_rng(1).normal(0, 1, (3, SIZE, SIZE)).astype(np.float32)}
    expected = Runtime.from_graph(graph).run(feeds, ["y"])["y"]
    plain, wide = (
        run_emulated(store_as_fp16(each) if fp16 else each, feeds, ["y"], cpu, fp16=fp16)["y"]
        for each in (graph, padded)
    )
    assert wide.shape == expected.shape
    # fp16 has an error of its own: up to 2 % in the plain graph, which winograd in fp16 makes.
    assert np.abs(wide - expected).max() < 3 * np.abs(plain - expected).max()
