"""fp16 storage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ncnn_tools.files import load, save
from ncnn_tools.graph import Graph, Storage, new_layer
from ncnn_tools.half_precision import store_as_fp16
from ncnn_tools.quantization import quantize
from ncnn_tools.runtime import Runtime

Make = Callable[..., Graph]


def with_weight(make_graph: Make, values: np.ndarray) -> Graph:
    layer = new_layer(
        "Convolution", "y", ["x"], ["y"], num_output=2, kernel_w=1, weight_data_size=values.size, bias_term=1
    )
    layer.set_weight("weight", values)
    layer.set_weight("bias", [0.1, -0.2])
    return make_graph((values.size // 2, 4, 4), [layer], ["y"])


def test_tagged_weights_become_fp16_and_others_stay(make_graph: Make) -> None:
    values = np.random.default_rng(0).normal(0, 1, 6).astype(np.float32)
    graph = with_weight(make_graph, values)
    half = store_as_fp16(graph)
    weights = half.layers[1].weights
    assert (weights["weight"].storage, weights["bias"].storage) == (Storage.FP16, Storage.RAW)
    np.testing.assert_array_equal(weights["weight"].data, values.astype(np.float16))
    assert graph.layers[1].weights["weight"].storage is Storage.FP32, "the graph that was given is left alone"


def test_ncnn_computes_with_the_rounded_weights(make_graph: Make, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0, 1, (2, 3)).astype(np.float32)
    half = store_as_fp16(with_weight(make_graph, values))
    save(half, tmp_path / "m.param", tmp_path / "m.bin")
    assert load(tmp_path / "m.param", tmp_path / "m.bin").layers == half.layers
    x = np.random.default_rng(1).normal(0, 1, (3, 4, 4)).astype(np.float32)
    rounded = values.astype(np.float16).astype(np.float32)
    expected = np.einsum("oc,chw->ohw", rounded, x) + np.array([0.1, -0.2], np.float32)[:, None, None]
    np.testing.assert_allclose(Runtime.from_graph(half).run({"x": x})["y"], expected, rtol=1e-5, atol=1e-5)


def test_a_weight_beyond_fp16_stays_fp32(make_graph: Make) -> None:
    for largest, storage in (
        (65504, Storage.FP16),
        (-65504, Storage.FP16),
        (65600, Storage.FP32),
        (np.nan, Storage.FP32),
    ):
        graph = with_weight(make_graph, np.array([1, largest], np.float32))
        assert store_as_fp16(graph).layers[1].weights["weight"].storage is storage


def test_int8_weights_stay_int8(make_graph: Make) -> None:
    graph = quantize(with_weight(make_graph, np.ones(6, np.float32)), {"x": 1.0})
    assert store_as_fp16(graph).layers == graph.layers


def test_doing_it_twice_changes_nothing(make_graph: Make) -> None:
    half = store_as_fp16(with_weight(make_graph, np.ones(6, np.float32)))
    assert store_as_fp16(half).layers == half.layers
