"""Small graphs of layers that carry padding, end it or refuse it, with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import insert_splits
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import Activation

SIDE = 12
_ACTIVATION_PARAMS: dict[int, tuple[float, ...]] = {
    Activation.LEAKY_RELU: (0.25,),
    Activation.CLIP: (-1.0, 2.0),
    Activation.HARD_SWISH: (1 / 6, 0.5),
}


class Builder:
    """Puts layers behind one another; each method returns the blob that its layer gives, which has its name."""

    def __init__(self, channels: int = 3, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.channels = {"x": channels}
        self.layers = [new_layer("Input", "x", [], ["x"], w=SIDE, h=SIDE, c=channels)]

    def add(self, kind: str, sources: Sequence[str], channels: int | None = None, **params: Any) -> Layer:
        name = f"{kind.lower()}_{len(self.layers)}"
        self.layers.append(new_layer(kind, name, list(sources), [name], **params))
        self.channels[name] = self.channels[sources[0]] if channels is None else channels
        return self.layers[-1]

    def convolution(
        self,
        source: str,
        outputs: int,
        kernel: int = 3,
        activation: int = 0,
        kind: str = "Convolution",
        **params: Any,
    ) -> str:
        inputs = 1 if kind == "ConvolutionDepthWise" else self.channels[source]
        taps = 1 if kind == "InnerProduct" else kernel * kernel
        if kind == "ConvolutionDepthWise":
            params["group"] = outputs
        if kind != "InnerProduct":
            params.setdefault("pad_left", kernel // 2)
            params["kernel_w"] = kernel
        layer = self.add(
            kind,
            [source],
            outputs,
            num_output=outputs,
            weight_data_size=outputs * inputs * taps,
            bias_term=1,
            activation_type=activation,
            activation_params=_ACTIVATION_PARAMS.get(activation, ()),
            **params,
        )
        scale = (inputs * taps) ** -0.5
        layer.set_weight("weight", self.random.normal(0, scale, outputs * inputs * taps))
        layer.set_weight("bias", self.random.normal(0, 0.3, outputs))
        return layer.name

    def batch_norm(self, source: str) -> str:
        count = self.channels[source]
        layer = self.add("BatchNorm", [source], channels=None, eps=1e-5)
        layer.set("channels", count)
        for name in ("slope", "mean", "var", "bias"):
            values = self.random.normal(0, 1, count)
            layer.set_weight(name, np.abs(values) + 0.5 if name == "var" else values)
        return layer.name

    def prelu(self, source: str) -> str:
        count = self.channels[source]
        layer = self.add("PReLU", [source], num_slope=count)
        layer.set_weight("slope", self.random.normal(0, 0.5, count))
        return layer.name

    def plain(self, kind: str, *sources: str, **params: Any) -> str:
        return self.add(kind, sources, **params).name

    def concat(self, *sources: str) -> str:
        return self.add("Concat", sources, sum(self.channels[source] for source in sources)).name

    def graph(self, *outputs: str) -> Graph:
        """Return the graph with its Splits and the shapes that ncnn finds."""
        graph = Graph([*self.layers], list(outputs))
        insert_splits(graph)
        graph.shapes = {blob: values.shape for blob, values in run(graph, graph.blobs()).items()}
        return graph


def run(graph: Graph, blobs: Sequence[str]) -> dict[str, np.ndarray]:
    """Run on random values of the input's shape."""
    shape = tuple(graph.layers[0].get(axis) for axis in ("c", "h", "w"))
    x = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    return Runtime.from_graph(graph).run({"x": x}, blobs)


@pytest.fixture(scope="session")
def new_builder() -> type[Builder]:
    return Builder


@pytest.fixture(scope="session")
def assert_same() -> Any:
    def check(graph: Graph, padded: Graph) -> None:
        expected, actual = run(graph, graph.outputs), run(padded, padded.outputs)
        assert expected.keys() == actual.keys()
        for blob, values in expected.items():
            assert actual[blob].shape == values.shape
            np.testing.assert_allclose(actual[blob], values, atol=2e-5 * max(1, np.abs(values).max()))

    return check
