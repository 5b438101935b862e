"""A network that has every layer that int8 is for, and what mixes of it are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.mixed import Stock
from ncnn_tools.quantization import QuantizeOptions, quantize


def layer(kind: str, source: str, target: str, weight: np.ndarray, **params: object) -> Layer:
    if kind != "InnerProduct":
        params = {"kernel_w": weight.shape[-1], "pad_left": weight.shape[-1] // 2, **params}
    made = new_layer(
        kind,
        f"to_{target}",
        [source],
        [target],
        num_output=len(weight),
        weight_data_size=weight.size,
        bias_term=1,
        activation_type=1,
        **params,
    )
    made.set_weight("weight", weight)
    made.set_weight("bias", np.linspace(-0.2, 0.2, len(weight)))
    return made


@pytest.fixture(scope="session")
def network() -> Graph:
    """3x3, grouped (never int8), depthwise, 1x1, pooling and InnerProduct, in this order, of 8 channels."""
    rng = np.random.default_rng(1)

    def weight(*shape: int) -> np.ndarray:
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    return Graph(
        [
            new_layer("Input", "x", [], ["x"], w=12, h=12, c=8),
            layer("Convolution", "x", "a", weight(8, 8, 3, 3)),
            layer("ConvolutionDepthWise", "a", "b", weight(8, 4, 3, 3), group=2),
            layer("ConvolutionDepthWise", "b", "c", weight(8, 1, 3, 3), group=8),
            layer("Convolution", "c", "d", weight(16, 8, 1, 1)),
            new_layer("Pooling", "pool", ["d"], ["e"], pooling_type=1, global_pooling=1),
            layer("InnerProduct", "e", "y", weight(5, 16)),
        ],
        ["y"],
    )


@pytest.fixture(scope="session")
def thresholds() -> dict[str, float]:
    """Of the blobs of `network`."""
    return {"x": 3.0, "a": 4.0, "b": 4.0, "c": 4.0, "d": 4.0, "e": 2.0}


@pytest.fixture(scope="session")
def make_stock() -> Callable[[Graph, dict[str, float]], Stock]:
    """Quantize a graph by thresholds of its blobs."""

    def make(graph: Graph, thresholds: dict[str, float]) -> Stock:
        options = QuantizeOptions()
        exact, narrow = (
            quantize(graph, thresholds, replace(options, prefer=prefer)) for prefer in ("error", "speed")
        )
        return Stock(graph, exact, narrow)

    return make


@pytest.fixture(scope="session")
def stock(network: Graph, thresholds: dict[str, float], make_stock: Callable[..., Stock]) -> Stock:
    return make_stock(network, thresholds)
