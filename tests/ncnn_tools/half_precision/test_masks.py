"""Masks in a graph; tests/android_bench/test_half_agreement.py shows what they do on a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.half_precision import ALL_FP32, apply_half_masks, check_half_masks
from ncnn_tools.quantization import QuantizeOptions, quantize
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import MASK_NO_FP16_ARITHMETIC

Make = Callable[..., Any]


@pytest.fixture
def chain(make_graph: Make, convolution: Make) -> Graph:
    random = np.random.default_rng(0)
    layers = [
        convolution(source, target, random.normal(0, 0.3, (4, 4, 3, 3)))
        for source, target in ("xa", "ab", "by")
    ]
    result: Graph = make_graph((4, 6, 6), layers, ["y"])
    result.shapes["a"] = (4, 6, 6)
    return result


def summary(graph: Graph) -> list[tuple[str, int]]:
    return [(layer.type, layer.feature_mask) for layer in graph.layers[1:]]


def test_fp32_arithmetic_needs_no_other_layer(chain: Graph) -> None:
    masked = apply_half_masks(chain, {"a": 1, "b": 1})
    assert summary(masked) == [("Convolution", 1), ("Convolution", 1), ("Convolution", 0)]
    assert summary(chain) == [("Convolution", 0)] * 3, "the graph that was given is left alone"


def test_a_dropout_stands_where_fp16_ends(chain: Graph) -> None:
    masked = apply_half_masks(chain, {"b": ALL_FP32, "y": ALL_FP32})
    assert summary(masked) == [("Convolution", 0), ("Dropout", 0), ("Convolution", 3), ("Convolution", 3)]
    assert masked.layers[2].inputs == ["a"]
    assert masked.layers[3].inputs == ["a_fp32"]
    assert masked.shapes["a_fp32"] == (4, 6, 6)
    check_half_masks(masked)
    x = {"x": np.random.default_rng(1).normal(0, 1, (4, 6, 6)).astype(np.float32)}
    expected = Runtime.from_graph(chain).run(x)["y"]
    np.testing.assert_array_equal(Runtime.from_graph(masked).run(x)["y"], expected)


def test_none_where_the_blob_is_fp32(chain: Graph) -> None:
    assert summary(apply_half_masks(chain, {"a": ALL_FP32})) == [
        ("Convolution", 3),
        ("Convolution", 0),
        ("Convolution", 0),
    ]


def test_other_masks_are_kept(chain: Graph) -> None:
    chain.layers[1].params[31] = 64
    assert apply_half_masks(chain, {"a": ALL_FP32}).layers[1].feature_mask == 67


def test_a_masked_layer_on_an_fp16_blob_is_refused(chain: Graph) -> None:
    chain.layers[2].params[31] = ALL_FP32
    with pytest.raises(GraphError, match=r"layer 'b' is masked from fp16 storage, and reads blob 'a'"):
        check_half_masks(chain)


def test_split_hands_fp16_on(make_graph: Make, convolution: Make) -> None:
    random = np.random.default_rng(0)
    layers = [
        convolution("x", "a", random.normal(0, 0.3, (4, 4, 1, 1))),
        new_layer("Split", "s", ["a"], ["b", "c"]),
        new_layer("BinaryOp", "y", ["b", "c"], ["y"]),
    ]
    masked = apply_half_masks(make_graph((4, 6, 6), layers, ["y"]), {"y": ALL_FP32})
    assert masked.layers[-1].inputs == ["b_fp32", "c_fp32"]
    check_half_masks(masked)


def test_int8_layers_add_up_in_integers(chain: Graph) -> None:
    quantized = quantize(chain, {"x": 3.0, "a": 3.0})
    masked = apply_half_masks(quantized, {"a": MASK_NO_FP16_ARITHMETIC, "b": ALL_FP32})
    assert summary(masked) == [("Convolution", 0), ("Dropout", 0), ("Convolution", 3), ("Convolution", 0)]


def test_an_int8_blob_stays_one(chain: Graph) -> None:
    quantized = quantize(chain, dict.fromkeys("xab", 3.0), QuantizeOptions(chains=True))
    masked = apply_half_masks(quantized, {"b": ALL_FP32, "y": ALL_FP32})
    assert summary(masked) == [("Convolution", 0), ("Convolution", 3), ("Convolution", 3)]
