from __future__ import annotations

from collections.abc import Callable

import pytest

from mobiledeploy.device.facts import DeviceFacts
from mobiledeploy.mixed.advice import advice, has_dot_product, int8_share
from ncnn_tools.graph import Graph, Layer, new_layer


def facts(*features: str) -> DeviceFacts:
    return DeviceFacts(
        serial="1",
        kind="usb",
        model="Phone 6",
        soc="SM8150",
        android_version="14",
        fingerprint="",
        abis=("arm64-v8a",),
        cpu_features=features,
        cores=(),
        memory_bytes=0,
        emulated=False,
        host=None,
    )


@pytest.fixture
def pointwise(convolution: Callable[..., Layer]) -> Callable[[int], Graph]:
    """Make a 1x1 convolution from so many channels to 8, and a 3x3 one behind it."""

    def make(channels: int) -> Graph:
        graph = Graph(
            [
                new_layer("Input", "x", [], ["x"], w=6, h=6, c=channels),
                convolution("a", "x", channels),
                convolution("b", "a", 8, 3),
            ],
            ["b"],
        )
        graph.shapes = {"x": (channels, 6, 6), "a": (8, 6, 6), "b": (8, 6, 6)}
        return graph

    return make


@pytest.mark.parametrize("feature", ["asimddp", "i8mm", "avx512_vnni"])
def test_nothing_speaks_against_int8_with_dot_products(graph: Graph, feature: str) -> None:
    assert advice(graph, facts("fp", feature)) == []


def test_a_cpu_without_dot_products(graph: Graph) -> None:
    [said] = advice(graph, facts("fp", "asimd", "asimdhp"))
    assert "hardly pay on Phone 6 (SM8150, Android 14)" in said
    assert not has_dot_product(("avx2", "avx_vnni", "asimdhp"))


def test_the_share_is_of_multiply_adds(pointwise) -> None:
    graph = pointwise(8)
    assert int8_share(graph) == 1
    graph.layers[2].weights.clear()  # it gets them when it runs
    assert int8_share(graph) == pytest.approx(64 / (64 + 64 * 9))


def test_too_little_could_be_int8(graph: Graph) -> None:
    none = graph.copy()
    for layer in none.layers:
        if layer.type in ("Convolution", "ConvolutionDepthWise"):
            layer.weights.clear()
    [said] = advice(none, facts("asimddp"))
    assert said == "int8 is left out: layers that can run in it do 0% of the multiply-adds."


def test_few_channels_leave_kernels_idle(pointwise) -> None:
    graph = pointwise(3)
    graph.layers.pop()
    graph.outputs = ["a"]
    [said] = advice(graph, facts("asimddp"))
    assert "100% of the multiply-adds" in said
    assert "fewer than 8 channels" in said
    assert advice(pointwise(8), facts("asimddp")) == []
    assert advice(pointwise(3), facts("asimddp")) == []  # the 3x3 one does most of the work


def test_a_network_without_any_work_to_do() -> None:
    graph = Graph([new_layer("Input", "x", [], ["x"]), new_layer("ReLU", "y", ["x"], ["y"])], ["y"])
    assert int8_share(graph) == 0
