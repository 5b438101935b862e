"""1x1 convolutions merged into the linear layer before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import merge_pointwise_convolutions

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
Filled = Callable[..., Layer]
GraphOf = Callable[..., Graph]
Conv = Callable[..., Layer]


@pytest.fixture(scope="session")
def conv(filled: Filled) -> Conv:
    def make(source: str, target: str, inputs: int, outputs: int, kernel: int = 1, **more: Any) -> Layer:
        size = inputs * outputs * kernel**2
        params = {"num_output": outputs, "kernel_w": kernel, "weight_data_size": size, "bias_term": 1, **more}
        return filled(new_layer("Convolution", target, [source], [target], **params))

    return make


@pytest.fixture(scope="session")
def graph_of(make_graph: Callable[..., Graph], with_shapes: Callable[[Graph], Graph]) -> GraphOf:
    def make(*layers: Layer, outputs: Sequence[str] = ("y",), shape: Sequence[int] = (8, 6, 7)) -> Graph:
        return with_shapes(make_graph(shape, layers, outputs))

    return make


@pytest.mark.parametrize("bias", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_two_convolutions(
    graph_of: GraphOf, conv: Conv, apply_pass: Apply, types: Types, bias: tuple[int, int], kernel: int
) -> None:
    first = conv("x", "a", 8, 16, kernel, bias_term=bias[0], pad_left=kernel // 2, stride_w=2)
    changed = apply_pass(
        merge_pointwise_convolutions, graph_of(first, conv("a", "y", 16, 8, bias_term=bias[1])), 1
    )
    assert types(changed) == ["Convolution"]
    assert changed.layers[-1].get("num_output") == 8
    assert changed.layers[-1].get("bias_term") == int(any(bias))


def test_three_in_a_row(graph_of: GraphOf, conv: Conv, apply_pass: Apply, types: Types) -> None:
    layers = [conv("x", "a", 8, 8), conv("a", "b", 8, 8), conv("b", "y", 8, 8)]
    assert types(apply_pass(merge_pointwise_convolutions, graph_of(*layers), 2)) == ["Convolution"]


def test_a_bottleneck_stays(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    apply_pass(merge_pointwise_convolutions, graph_of(conv("x", "a", 8, 2), conv("a", "y", 2, 8)), 0)


def test_an_activation_between_stays(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    first = conv("x", "a", 8, 16, activation_type=1)
    apply_pass(merge_pointwise_convolutions, graph_of(first, conv("a", "y", 16, 8)), 0)


def test_what_someone_else_reads_stays(graph_of: GraphOf, conv: Conv, apply_pass: Apply) -> None:
    layers = [conv("x", "a", 8, 16), conv("a", "y", 16, 8)]
    apply_pass(merge_pointwise_convolutions, graph_of(*layers, outputs=("y", "a")), 0)


def moved(filled: Filled, outputs: int, order: int = 1) -> list[Layer]:
    """Make (12, 5) → Gemm → (12, outputs) → Permute, Reshape → (outputs, 3, 4)."""
    gemm = new_layer(
        "Gemm",
        "g",
        ["x"],
        ["g"],
        constant_b=1,
        constant_n=outputs,
        constant_k=5,
        trans_b=1,
        constant_c=1,
        constant_broadcast_type_c=4,
    )
    turned = new_layer("Permute", "t", ["g"], ["t"], order_type=order)
    return [filled(gemm), turned, new_layer("Reshape", "r", ["t"], ["r"], c=outputs, h=3, w=4)]


def test_gemm_and_moves(
    graph_of: GraphOf, conv: Conv, filled: Filled, apply_pass: Apply, types: Types
) -> None:
    layers = [*moved(filled, 8), conv("r", "y", 8, 8)]
    changed = apply_pass(merge_pointwise_convolutions, graph_of(*layers, shape=(12, 5)), 1)
    assert types(changed) == ["Gemm", "Permute", "Reshape"]
    assert not {"g", "t", "r"} & set(changed.origins)


@pytest.mark.parametrize(("outputs", "order"), [(4, 1), (8, 0)])
def test_other_moves_stay(
    graph_of: GraphOf, conv: Conv, filled: Filled, apply_pass: Apply, outputs: int, order: int
) -> None:
    """Where the shapes would change, and where the channels are not Gemm's columns."""
    layers = [*moved(filled, 8, order), conv("r", "y", 8, outputs)]
    apply_pass(merge_pointwise_convolutions, graph_of(*layers, shape=(12, 5)), 0)
