"""A layer's input as rows: rows times weights is what ncnn computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Layer
from ncnn_tools.quantization.layers import weight_rows
from ncnn_tools.quantization.windows import layer_rows, mean_row
from ncnn_tools.runtime import Runtime

Make = Callable[..., Any]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


CASES: list[tuple[str, tuple[int, ...], dict[str, int]]] = [
    ("Convolution", (5, 4, 3, 3), {}),
    ("Convolution", (5, 4, 3, 3), {"stride_w": 2}),
    ("Convolution", (5, 4, 3, 3), {"dilation_w": 2, "pad_left": 2}),
    (
        "Convolution",
        (5, 4, 2, 3),
        {"kernel_h": 2, "kernel_w": 3, "pad_left": 0, "pad_right": 2, "pad_top": 1},
    ),
    ("Convolution", (5, 4, 3, 3), {"stride_w": 2, "pad_left": -233}),
    ("Convolution", (5, 4, 3, 3), {"stride_w": 2, "pad_left": -234}),
    ("ConvolutionDepthWise", (4, 1, 3, 3), {"stride_w": 2}),
    ("InnerProduct", (5, 4 * 9 * 8), {}),
]


def expected(graph: Any, layer: Layer, x: np.ndarray) -> np.ndarray:
    """Run the layer; returns (places, outputs) without the bias."""
    y = Runtime.from_graph(graph).run({"x": x}, ["y"])["y"]
    result: np.ndarray = y.reshape(len(y), -1).T - layer.weights["bias"].values()
    return result


@pytest.mark.parametrize(("kind", "shape", "params"), CASES)
def test_rows_times_weights_is_the_output(
    make_graph: Make, convolution: Make, kind: str, shape: tuple[int, ...], params: dict[str, int]
) -> None:
    layer = convolution("x", "y", normal(*shape), kind=kind, **params)
    x = normal(4, 9, 8, seed=1)
    outputs = expected(make_graph(x.shape, [layer], ["y"]), layer, x)
    rows = layer_rows(layer, x, 10**6, np.random.default_rng(0))
    groups = np.split(weight_rows(layer), len(rows))
    found = np.concatenate([part @ weight.T for part, weight in zip(rows, groups, strict=True)], axis=1)
    np.testing.assert_allclose(found, outputs, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mean_row(layer, x), rows.mean(axis=1), atol=1e-5)
    few = layer_rows(layer, x, 3, np.random.default_rng(0))
    assert few.shape == (rows.shape[0], min(3, rows.shape[1]), rows.shape[2])
    assert all((rows == row[:, None]).all(axis=2).any(axis=1).all() for row in few.transpose(1, 0, 2))
