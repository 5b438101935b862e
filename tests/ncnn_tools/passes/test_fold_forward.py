"""Scales and offsets folded into the linear layers after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import fold_into_consumers

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
Filled = Callable[..., Layer]
GraphOf = Callable[..., Graph]
Linear = Callable[..., Layer]

SHAPE = (6, 5, 5)


@pytest.fixture(scope="session")
def linear(filled: Filled) -> Linear:
    def make(kind: str, source: str, target: str, **params: Any) -> Layer:
        return filled(new_layer(kind, target, [source], [target], bias_term=1, **params))

    return make


@pytest.fixture(scope="session")
def conv(linear: Linear) -> Linear:
    """Make a convolution of six channels, or of as many as there are groups times six."""

    def make(source: str, target: str, inputs: int = 6, kernel_w: int = 3, **params: Any) -> Layer:
        size = 4 * inputs * kernel_w**2
        return linear(
            "Convolution", source, target, num_output=4, kernel_w=kernel_w, weight_data_size=size, **params
        )

    return make


@pytest.fixture(scope="session")
def graph_of(make_graph: Callable[..., Graph], with_shapes: Callable[[Graph], Graph]) -> GraphOf:
    """Make a graph whose layers read "a", the ReLU of its input."""

    def make(*layers: Layer, outputs: Sequence[str] = ("y",), shape: Sequence[int] = SHAPE) -> Graph:
        return with_shapes(make_graph(shape, [one("ReLU", "x", "a", slope=0.5), *layers], outputs))

    return make


def one(kind: str, source: str, target: str, **params: Any) -> Layer:
    return new_layer(kind, target, [source], [target], **params)


def op(code: int, source: str, other: str, target: str) -> Layer:
    return new_layer("BinaryOp", target, [source, other], [target], op_type=code)


@pytest.fixture(scope="session")
def scale(filled: Filled) -> Linear:
    def make(source: str, target: str, channels: int = 6, bias: bool = True) -> Layer:
        return filled(
            new_layer("Scale", target, [source], [target], scale_data_size=channels, bias_term=int(bias))
        )

    return make


READERS: dict[str, dict[str, Any]] = {
    "Convolution": {"num_output": 4, "kernel_w": 3, "weight_data_size": 4 * 6 * 9},
    "ConvolutionDepthWise": {"num_output": 6, "group": 3, "kernel_w": 3, "weight_data_size": 6 * 2 * 9},
    "InnerProduct": {"num_output": 4, "weight_data_size": 4 * 150},
}


@pytest.mark.parametrize("kind", READERS)
def test_fold(
    graph_of: GraphOf, linear: Linear, scale: Linear, apply_pass: Apply, types: Types, kind: str
) -> None:
    layers = [scale("a", "b"), linear(kind, "b", "y", activation_type=1, **READERS[kind])]
    assert types(apply_pass(fold_into_consumers, graph_of(*layers), 1)) == ["ReLU", kind]


@pytest.mark.parametrize("kind", ["Deconvolution", "DeconvolutionDepthWise"])
@pytest.mark.parametrize("bias", [False, True])
def test_a_transposed_convolution_takes_a_scale_alone(
    graph_of: GraphOf, linear: Linear, scale: Linear, apply_pass: Apply, kind: str, bias: bool
) -> None:
    """At its borders fewer windows overlap, and an offset would count less often."""
    group = {"group": 3} if kind.endswith("DepthWise") else {}
    size = 6 * (2 if group else 6) * 9
    reader = linear(kind, "b", "y", num_output=6, kernel_w=3, stride_w=2, weight_data_size=size, **group)
    apply_pass(fold_into_consumers, graph_of(scale("a", "b", bias=bias), reader), int(not bias))


@pytest.mark.parametrize("bias", [False, True])
def test_zero_padding_stops_an_offset(
    graph_of: GraphOf, conv: Linear, scale: Linear, apply_pass: Apply, bias: bool
) -> None:
    layers = [scale("a", "b", bias=bias), conv("b", "y", pad_left=1)]
    apply_pass(fold_into_consumers, graph_of(*layers), int(not bias))


@pytest.mark.parametrize("code", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("pad_value", [0.0, 0.25])
def test_padding_with_another_value(
    graph_of: GraphOf, conv: Linear, apply_pass: Apply, code: int, pad_value: float
) -> None:
    """One value for all channels can be undone by padding with the value that it maps there."""
    first = new_layer("BinaryOp", "b", ["a"], ["b"], op_type=code, with_scalar=1, b=0.75)
    graph = graph_of(first, conv("b", "y", pad_left=1, pad_value=pad_value))
    changed = apply_pass(fold_into_consumers, graph, 1)
    if code == 0:
        assert changed.layers[-1].get("pad_value") == pad_value - 0.75


def test_padding_of_a_dead_channel_stops_it(
    graph_of: GraphOf, conv: Linear, scale: Linear, apply_pass: Apply
) -> None:
    first = scale("a", "b")
    first.set_weight("scale", [0.0] * 6)
    apply_pass(fold_into_consumers, graph_of(first, conv("b", "y", pad_left=1)), 0)


@pytest.mark.parametrize(
    "between",
    [
        one("Pooling", "b", "c", pooling_type=1, kernel_w=3, pad_left=1),
        one("Interp", "b", "c", resize_type=2, output_width=7, output_height=9),
        one("ShuffleChannel", "b", "c", group=3),
        one("Permute", "b", "c", order_type=1),
        one("Crop", "b", "c", starts=(1,), ends=(5,), axes=(2,)),
    ],
)
def test_through(graph_of: GraphOf, conv: Linear, scale: Linear, apply_pass: Apply, between: Layer) -> None:
    apply_pass(fold_into_consumers, graph_of(scale("a", "b"), between, conv("c", "y")), 1)


def test_through_global_pooling(graph_of: GraphOf, linear: Linear, scale: Linear, apply_pass: Apply) -> None:
    pool = one("Pooling", "b", "c", pooling_type=1, global_pooling=1)
    reader = linear("InnerProduct", "c", "y", num_output=4, weight_data_size=24)
    apply_pass(fold_into_consumers, graph_of(scale("a", "b"), pool, reader), 1)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("order", range(6))
def test_the_places_of_a_vector(
    graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply, axis: int, order: int
) -> None:
    """InnerProduct reads all axes as one vector; a permutation before it changes the axis."""
    sizes = {
        name: (size if axis == i else 1) for i, (name, size) in enumerate(zip("chw", (2, 3, 4), strict=True))
    }
    memory = filled(new_layer("MemoryData", "m", [], ["m"], **sizes))
    turned = one("Permute", "b", "c", order_type=order)
    reader = linear("InnerProduct", "c", "y", num_output=4, weight_data_size=4 * 24)
    graph = graph_of(memory, op(2, "a", "m", "b"), turned, reader, shape=(2, 3, 4))
    apply_pass(fold_into_consumers, graph, 1)


@pytest.mark.parametrize(("sizes", "folds"), [({"w": 5}, True), ({"w": 1, "h": 7}, False)])
def test_rows(
    graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply, sizes: dict[str, int], folds: bool
) -> None:
    memory = filled(new_layer("MemoryData", "m", [], ["m"], **sizes))
    reader = linear("InnerProduct", "b", "y", num_output=4, weight_data_size=20)
    graph = graph_of(memory, op(0, "a", "m", "b"), reader, shape=(7, 5))
    apply_pass(fold_into_consumers, graph, int(folds))


@pytest.mark.parametrize("code", [0, 2])
def test_rows_times_a_constant_matrix(
    graph_of: GraphOf, filled: Filled, apply_pass: Apply, types: Types, code: int
) -> None:
    memory = filled(new_layer("MemoryData", "m", [], ["m"], w=5))
    gemm = filled(new_layer("Gemm", "y", ["b"], ["y"], constant_b=1, constant_n=4, constant_k=5))
    graph = graph_of(memory, op(code, "a", "m", "b"), gemm, shape=(7, 5))
    assert types(apply_pass(fold_into_consumers, graph, 1)) == ["ReLU", "MemoryData", "Gemm"]


def test_through_concat_and_slice(graph_of: GraphOf, conv: Linear, scale: Linear, apply_pass: Apply) -> None:
    joined = new_layer("Concat", "c", ["t", "b"], ["c"])
    cut = new_layer("Slice", "s", ["c"], ["p", "q"], slices=(8, -233))
    layers = [one("TanH", "a", "t"), scale("a", "b"), joined, cut, conv("p", "y", 8), conv("q", "z", 4)]
    changed = apply_pass(fold_into_consumers, graph_of(*layers, outputs=["y", "z"]), 1)
    assert not {"c", "p", "q"} & set(changed.origins)


def test_through_a_product(graph_of: GraphOf, conv: Linear, scale: Linear, apply_pass: Apply) -> None:
    layers = [one("TanH", "a", "t"), scale("a", "b", bias=False), op(2, "t", "b", "c"), conv("c", "y")]
    apply_pass(fold_into_consumers, graph_of(*layers), 1)
    layers[1] = scale("a", "b")
    apply_pass(fold_into_consumers, graph_of(*layers), 0)


def test_a_square_is_not_linear(graph_of: GraphOf, conv: Linear, scale: Linear, apply_pass: Apply) -> None:
    layers = [scale("a", "b", bias=False), op(2, "b", "b", "c"), conv("c", "y")]
    apply_pass(fold_into_consumers, graph_of(*layers), 0)
    layers = [scale("a", "b", bias=False), one("ReLU", "b", "r"), op(2, "b", "r", "c"), conv("c", "y")]
    apply_pass(fold_into_consumers, graph_of(*layers), 0)


def test_all_readers_or_none(graph_of: GraphOf, conv: Linear, scale: Linear, apply_pass: Apply) -> None:
    two = [scale("a", "b"), conv("b", "y"), conv("b", "z", kernel_w=1)]
    apply_pass(fold_into_consumers, graph_of(*two, outputs=["y", "z"]), 1)
    other = [*two[:2], one("TanH", "b", "z")]
    apply_pass(fold_into_consumers, graph_of(*other, outputs=["y", "z"]), 0)


def test_an_output_of_the_model_stays(
    graph_of: GraphOf, conv: Linear, scale: Linear, apply_pass: Apply
) -> None:
    apply_pass(fold_into_consumers, graph_of(scale("a", "b"), conv("b", "y"), outputs=["y", "b"]), 0)
    pooled = [scale("a", "b"), one("Pooling", "b", "c", pooling_type=1, kernel_w=2), conv("c", "y")]
    apply_pass(fold_into_consumers, graph_of(*pooled, outputs=["y", "c"]), 0)
    apply_pass(fold_into_consumers, graph_of(scale("a", "y")), 0)
