"""Scales and offsets folded into the linear layers before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, Storage, Weight, new_layer
from ncnn_tools.half_precision import store_as_fp16
from ncnn_tools.passes import fold_into_producers
from ncnn_tools.passes.affine import batch_norm_factors
from ncnn_tools.quantization import quantize

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
Filled = Callable[..., Layer]
GraphOf = Callable[..., Graph]
Linear = Callable[..., Layer]

SHAPE = (6, 5, 5)
OUTPUTS = 6
LINEAR: dict[str, dict[str, Any]] = {
    "Convolution": {"kernel_w": 3, "weight_data_size": OUTPUTS * 6 * 9},
    "ConvolutionDepthWise": {"kernel_w": 3, "group": 3, "weight_data_size": OUTPUTS * 2 * 9},
    "Deconvolution": {"kernel_w": 2, "stride_w": 2, "weight_data_size": OUTPUTS * 6 * 4},
    "DeconvolutionDepthWise": {"kernel_w": 2, "stride_w": 2, "group": 3, "weight_data_size": OUTPUTS * 2 * 4},
    "InnerProduct": {"weight_data_size": OUTPUTS * 6 * 25},
}


@pytest.fixture(scope="session")
def linear(filled: Filled) -> Linear:
    def make(kind: str = "Convolution", source: str = "x", target: str = "a", **more: Any) -> Layer:
        params = {"num_output": OUTPUTS, "bias_term": 1, **LINEAR[kind], **more}
        return filled(new_layer(kind, target, [source], [target], **params))

    return make


@pytest.fixture(scope="session")
def batch_norm(filled: Filled) -> Callable[..., Layer]:
    def make(source: str = "a", target: str = "y", channels: int = OUTPUTS, eps: float = 1e-5) -> Layer:
        return filled(new_layer("BatchNorm", target, [source], [target], channels=channels, eps=eps))

    return make


@pytest.fixture(scope="session")
def graph_of(make_graph: Callable[..., Graph], with_shapes: Callable[[Graph], Graph]) -> GraphOf:
    """Make a graph of known shapes from layers that read "x"."""

    def make(*layers: Layer, outputs: Sequence[str] = ("y",), shape: Sequence[int] = SHAPE) -> Graph:
        return with_shapes(make_graph(shape, layers, outputs))

    return make


@pytest.mark.parametrize("kind", LINEAR)
@pytest.mark.parametrize("bias", [False, True])
def test_fold(
    graph_of: GraphOf,
    linear: Linear,
    batch_norm: Linear,
    apply_pass: Apply,
    types: Types,
    kind: str,
    bias: bool,
) -> None:
    folded = apply_pass(fold_into_producers, graph_of(linear(kind, bias_term=int(bias)), batch_norm()), 1)
    assert types(folded) == [kind]
    assert folded.layers[-1].outputs == ["y"]
    assert folded.layers[-1].get("bias_term") == 1


def test_two_in_a_row(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply, types: Types
) -> None:
    layers = [linear("Convolution"), batch_norm("a", "b"), batch_norm("b", "y")]
    assert types(apply_pass(fold_into_producers, graph_of(*layers), 2)) == ["Convolution"]


def test_a_dead_channel_stays_finite(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    norm = batch_norm(eps=0.0)
    norm.weights["var"].data[0] = 0
    norm.weights["var"].data[1] = 1e-20
    factor, offset = batch_norm_factors(norm)
    assert np.isfinite(factor).all()
    assert np.isfinite(offset).all()
    apply_pass(fold_into_producers, graph_of(linear("Convolution"), norm), 1)


def test_weights_in_half_precision(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    graph = store_as_fp16(graph_of(linear("Convolution"), batch_norm()))
    folded = apply_pass(fold_into_producers, graph, 1)
    assert folded.layers[1].weights["weight"].storage is Storage.FP32


def test_weights_behind_a_codebook(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    layer = linear("Convolution")
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 256, layer.get("weight_data_size")).astype(np.uint8)
    book = rng.normal(0, 1, 256).astype(np.float32)
    layer.weights["weight"] = Weight(indices, Storage.CODEBOOK, book, tag=1)
    apply_pass(fold_into_producers, graph_of(layer, batch_norm()), 1)


def test_the_folded_graph_leaves_the_given_one_alone(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    graph = graph_of(linear("Convolution"), batch_norm())
    before = graph.layers[1].weights["weight"].data.copy()
    apply_pass(fold_into_producers, graph, 1)
    np.testing.assert_array_equal(graph.layers[1].weights["weight"].data, before)


def test_an_activation_between_stops_it(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    fused = linear("Convolution", activation_type=1)
    apply_pass(fold_into_producers, graph_of(fused, batch_norm()), 0)
    layers = [linear("Convolution"), new_layer("ReLU", "b", ["a"], ["b"]), batch_norm("b")]
    apply_pass(fold_into_producers, graph_of(*layers), 0)


def test_a_second_reader_stops_it(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    layers = [linear("Convolution"), batch_norm(), new_layer("ReLU", "z", ["a"], ["z"])]
    apply_pass(fold_into_producers, graph_of(*layers, outputs=("y", "z")), 0)


def test_an_output_of_the_model_stops_it(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    graph = graph_of(linear("Convolution"), batch_norm(), outputs=("a", "y"))
    apply_pass(fold_into_producers, graph, 0)


def test_an_int8_layer_is_left_alone(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    graph = quantize(graph_of(linear("Convolution"), batch_norm()), {"x": 3.0})
    apply_pass(fold_into_producers, graph, 0)


@pytest.mark.parametrize("rows", [4, OUTPUTS])
def test_rows_are_not_outputs(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply, rows: int
) -> None:
    """InnerProduct of a matrix gives (rows, outputs), and the channels of BatchNorm are its rows."""
    layers = [linear("InnerProduct", weight_data_size=OUTPUTS * 5), batch_norm(channels=rows)]
    apply_pass(fold_into_producers, graph_of(*layers, shape=(rows, 5)), 0)


def test_unknown_shapes_stop_it(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    graph = graph_of(linear("InnerProduct"), batch_norm())
    graph.shapes.clear()
    apply_pass(fold_into_producers, graph, 0)


def op(code: int, source: str, other: str | float, target: str) -> Layer:
    if isinstance(other, str):
        return new_layer("BinaryOp", target, [source, other], [target], op_type=code)
    return new_layer("BinaryOp", target, [source], [target], op_type=code, with_scalar=1, b=other)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 7])
def test_arithmetic_with_a_scalar(
    graph_of: GraphOf, linear: Linear, apply_pass: Apply, types: Types, code: int
) -> None:
    changed = apply_pass(fold_into_producers, graph_of(linear(), op(code, "a", 0.7, "y")), 1)
    assert types(changed) == ["Convolution"]


@pytest.mark.parametrize("code", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("sizes", [{"w": 6}, {"w": 1, "h": 1, "c": 6}, {"w": 1, "h": 6}, {"w": 1}])
def test_arithmetic_with_a_constant(
    graph_of: GraphOf,
    linear: Linear,
    filled: Filled,
    apply_pass: Apply,
    code: int,
    first: bool,
    sizes: dict[str, int],
) -> None:
    memory = filled(new_layer("MemoryData", "m", [], ["m"], **sizes))
    inputs = ["m", "a"] if first else ["a", "m"]
    operation = new_layer("BinaryOp", "y", inputs, ["y"], op_type=code)
    affine = (code, first) not in {(3, True), (7, True)} or code == 7
    graph = graph_of(linear(), memory, operation)
    changed = apply_pass(fold_into_producers, graph, int(affine))
    assert affine == all(layer.type != "BinaryOp" for layer in changed.layers)


def test_a_constant_along_the_width_stays(
    graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply
) -> None:
    memory = filled(new_layer("MemoryData", "m", [], ["m"], w=3, h=1, c=1))
    apply_pass(fold_into_producers, graph_of(linear(), memory, op(2, "a", "m", "y")), 0)


def test_outputs_of_rows(graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply) -> None:
    """InnerProduct row by row, then a factor for each of its outputs (LayerScale)."""
    memory = filled(new_layer("MemoryData", "m", [], ["m"], w=OUTPUTS, h=1))
    layers = [linear("InnerProduct", weight_data_size=OUTPUTS * 5), memory, op(2, "a", "m", "y")]
    apply_pass(fold_into_producers, graph_of(*layers, shape=(7, 5)), 1)


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("c_type", [None, -1, 4])
def test_rows_times_a_constant_matrix(
    graph_of: GraphOf, filled: Filled, apply_pass: Apply, types: Types, trans_b: int, c_type: int | None
) -> None:
    gemm = new_layer("Gemm", "a", ["x"], ["a"], constant_b=1, constant_n=6, constant_k=5, trans_b=trans_b)
    if c_type is not None:
        gemm.set("constant_c", 1)
        gemm.set("constant_broadcast_type_c", c_type)
    memory = filled(new_layer("MemoryData", "m", [], ["m"], w=6, h=1))
    layers = [filled(gemm), memory, op(2, "a", "m", "b"), op(0, "b", 0.5, "y")]
    assert types(apply_pass(fold_into_producers, graph_of(*layers, shape=(7, 5)), 2)) == [
        "Gemm",
        "MemoryData",
    ]


def test_another_kind_of_gemm_stays(graph_of: GraphOf, filled: Filled, apply_pass: Apply) -> None:
    for more in ({"alpha": 2.0}, {"trans_a": 1}, {"constant_c": 1, "constant_broadcast_type_c": 0}):
        gemm = new_layer("Gemm", "a", ["x"], ["a"], constant_b=1, constant_n=6, constant_k=5, **more)
        shape = (5, 7) if "trans_a" in more else (7, 5)
        graph = graph_of(filled(gemm), op(2, "a", 3.0, "y"), shape=shape)
        apply_pass(fold_into_producers, graph, 0)


def one(kind: str, source: str, target: str, **params: Any) -> Layer:
    return new_layer(kind, target, [source], [target], **params)


PASSING = {
    "average pooling": one("Pooling", "a", "b", pooling_type=1, kernel_w=2, stride_w=1, pad_left=1),
    "global average": one("Pooling", "a", "b", pooling_type=1, global_pooling=1),
    "adaptive average": one("Pooling", "a", "b", pooling_type=1, adaptive_pooling=1, out_w=2),
    "bilinear": one("Interp", "a", "b", resize_type=2, output_width=7, output_height=9),
    "bicubic": one("Interp", "a", "b", resize_type=3, output_width=7, output_height=9),
    "replicated padding": one("Padding", "a", "b", type=1, left=1, right=1, top=1, bottom=1),
    "shuffled channels": one("ShuffleChannel", "a", "b", group=2),
    "cropped": one("Crop", "a", "b", starts=(1,), ends=(3,), axes=(2,)),
}


@pytest.mark.parametrize("name", PASSING)
def test_through(
    graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply, types: Types, name: str
) -> None:
    layers = [linear(), PASSING[name]]
    channels = graph_of(*layers, outputs=["b"]).shapes["b"][0]
    norm = filled(new_layer("BatchNorm", "y", ["b"], ["y"], channels=channels, eps=1e-5))
    assert types(apply_pass(fold_into_producers, graph_of(*layers, norm), 1)) == [
        "Convolution",
        layers[1].type,
    ]


@pytest.mark.parametrize("order", range(6))
@pytest.mark.parametrize("axis", range(3))
def test_through_permute(
    graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply, order: int, axis: int
) -> None:
    """It folds where the axis of the constant was the channels' before."""
    layers = [linear(), one("Permute", "a", "b", order_type=order)]
    shape = graph_of(*layers, outputs=["b"], shape=(6, 5, 4)).shapes["b"]
    sizes = {
        name: (size if axis == i else 1) for i, (name, size) in enumerate(zip("chw", shape, strict=True))
    }
    memory = filled(new_layer("MemoryData", "m", [], ["m"], **sizes))
    graph = graph_of(*layers, memory, op(2, "b", "m", "y"), shape=(6, 5, 4))
    apply_pass(fold_into_producers, graph, int(shape[axis] == 6))


@pytest.mark.parametrize(
    ("shape", "folds"), [((2, 3, 9), True), ((3, 2, 9), True), ((6, 9), True), ((18, 3), False)]
)
def test_through_reshape(
    graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply, shape: tuple[int, ...], folds: bool
) -> None:
    sizes = dict(zip(("c", "h", "w")[-len(shape) :], shape, strict=True))
    layers = [linear(), one("Reshape", "a", "b", **sizes)]
    norm = filled(new_layer("BatchNorm", "y", ["b"], ["y"], channels=shape[0], eps=1e-5))
    apply_pass(fold_into_producers, graph_of(*layers, norm), int(folds))


@pytest.mark.parametrize("mode", [0, 1])
def test_through_pixel_shuffle(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply, mode: int
) -> None:
    conv = linear(num_output=8, weight_data_size=8 * 6 * 9)
    layers = [conv, one("PixelShuffle", "a", "b", upscale_factor=2, mode=mode), batch_norm("b", channels=2)]
    apply_pass(fold_into_producers, graph_of(*layers), 1)


@pytest.mark.parametrize(
    ("between", "factor", "offset", "folds"),
    [
        (one("Pooling", "a", "b", kernel_w=2), 2.0, 1.0, True),
        (one("Pooling", "a", "b", kernel_w=2), -2.0, 1.0, False),
        (
            one("Pooling", "a", "b", pooling_type=1, kernel_w=2, pad_left=1, avgpool_count_include_pad=1),
            -2.0,
            0.0,
            True,
        ),
        (
            one("Pooling", "a", "b", pooling_type=1, kernel_w=2, pad_left=1, avgpool_count_include_pad=1),
            2.0,
            1.0,
            False,
        ),
        (one("Padding", "a", "b", left=1), 2.0, 0.0, True),
        (one("Padding", "a", "b", left=1), 2.0, 1.0, False),
        (one("Padding", "a", "b", left=1, value=0.5), 2.0, 0.0, False),
        (one("ReLU", "a", "b"), 2.0, 0.0, True),
        (one("ReLU", "a", "b", slope=0.1), 2.0, 0.0, True),
        (one("ReLU", "a", "b"), -2.0, 0.0, False),
        (one("ReLU", "a", "b"), 2.0, 1.0, False),
        (one("Sigmoid", "a", "b"), 2.0, 0.0, False),
    ],
)
def test_through_what_only_some_maps_pass(
    graph_of: GraphOf,
    linear: Linear,
    filled: Filled,
    apply_pass: Apply,
    between: Layer,
    factor: float,
    offset: float,
    folds: bool,
) -> None:
    scale = filled(new_layer("Scale", "y", ["b"], ["y"], scale_data_size=OUTPUTS, bias_term=1))
    scale.set_weight("scale", [factor] * OUTPUTS)
    scale.set_weight("bias", [offset] * OUTPUTS)
    apply_pass(fold_into_producers, graph_of(linear(), between, scale), int(folds))


def test_a_positive_factor_passes_a_fused_relu(
    graph_of: GraphOf, linear: Linear, apply_pass: Apply, types: Types
) -> None:
    graph = graph_of(linear(activation_type=1), op(2, "a", 3.0, "y"))
    assert types(apply_pass(fold_into_producers, graph, 1)) == ["Convolution"]
    apply_pass(fold_into_producers, graph_of(linear(activation_type=1), op(2, "a", -3.0, "y")), 0)


def concat(sources: list[str], target: str = "c", axis: int = 0) -> Layer:
    return new_layer("Concat", target, sources, [target], axis=axis)


def test_through_concat(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply, types: Types
) -> None:
    layers = [linear(), linear(target="b", pad_left=0), concat(["a", "b"]), batch_norm("c", channels=12)]
    assert types(apply_pass(fold_into_producers, graph_of(*layers), 1)) == [
        "Convolution",
        "Convolution",
        "Concat",
    ]


def test_through_concat_and_pooling(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    pool = one("Pooling", "b", "p", pooling_type=1, kernel_w=3)
    layers = [linear(), linear("Convolution", "x", "b", kernel_w=1, weight_data_size=36), pool]
    apply_pass(fold_into_producers, graph_of(*layers, concat(["a", "p"]), batch_norm("c", channels=12)), 1)


def test_concat_of_what_is_not_linear_stops_it(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply
) -> None:
    layers = [linear(pad_left=1), concat(["a", "x"]), batch_norm("c", channels=12)]
    apply_pass(fold_into_producers, graph_of(*layers), 0)
    twice = [linear(), concat(["a", "a"]), batch_norm("c", channels=12)]
    apply_pass(fold_into_producers, graph_of(*twice), 0)


def test_what_is_not_linear_may_be_concatenated_where_nothing_happens_to_it(
    graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply
) -> None:
    scale = filled(new_layer("Scale", "y", ["c"], ["y"], scale_data_size=12))
    scale.set_weight("scale", [*range(2, 8), *[1] * 6])
    apply_pass(fold_into_producers, graph_of(linear(pad_left=1), concat(["a", "x"]), scale), 1)


@pytest.mark.parametrize("part", [0, 1])
def test_through_slice(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply, part: int
) -> None:
    """The other part is left as it is."""
    parts = ["p", "q"]
    cut = new_layer("Slice", "s", ["a"], parts, slices=(2, -233))
    layers = [
        linear(),
        cut,
        batch_norm(parts[part], channels=[2, 4][part]),
        one("TanH", parts[1 - part], "z"),
    ]
    apply_pass(fold_into_producers, graph_of(*layers, outputs=["y", "z"]), 1)


@pytest.mark.parametrize("code", [0, 1])
def test_through_a_sum(
    graph_of: GraphOf, linear: Linear, batch_norm: Linear, apply_pass: Apply, code: int
) -> None:
    layers = [linear(), linear(target="b"), op(code, "a", "b", "c"), batch_norm("c")]
    apply_pass(fold_into_producers, graph_of(*layers), 1)


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("rectified", ["a", "b"])
def test_the_offset_goes_to_the_side_that_can_take_it(
    graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply, code: int, rectified: str
) -> None:
    scale = filled(new_layer("Scale", "y", ["c"], ["y"], scale_data_size=OUTPUTS, bias_term=1))
    scale.set_weight("scale", [0.5, 1, 2, 3, 4, 5])
    sides = [linear(target=side, activation_type=int(side == rectified)) for side in ("a", "b")]
    apply_pass(fold_into_producers, graph_of(*sides, op(code, "a", "b", "c"), scale), 1)


def test_through_a_product(graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply) -> None:
    scale = filled(new_layer("Scale", "y", ["c"], ["y"], scale_data_size=OUTPUTS))
    layers = [linear(), linear(target="b"), one("Sigmoid", "b", "s"), op(2, "s", "a", "c")]
    apply_pass(fold_into_producers, graph_of(*layers, scale), 1)


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("sizes", [{"w": 1}, {"w": 1, "h": 3}, {"w": 3, "h": 1}])
def test_through_a_matrix_product(
    graph_of: GraphOf, linear: Linear, filled: Filled, apply_pass: Apply, trans_b: int, sizes: dict[str, int]
) -> None:
    """A common factor, one a row, one a column; rows are what InnerProduct does not scale."""
    left, right = (linear("InnerProduct", target=name, num_output=3, weight_data_size=15) for name in "ab")
    memory = filled(new_layer("MemoryData", "m", [], ["m"], **sizes))
    turned = [one("Permute", name, f"{name}t", order_type=1) for name in "ab"]
    product = new_layer("MatMul", "c", ["at", "bt" if trans_b else "b"], ["c"], trans_b=trans_b)
    layers = [left, right, *(turned if trans_b else turned[:1]), memory, product, op(2, "c", "m", "y")]
    apply_pass(fold_into_producers, graph_of(*layers, shape=(4, 5)), 1)


@pytest.mark.parametrize("affine", [0, 1])
@pytest.mark.parametrize(
    ("norm", "constant"),
    [
        (one("GroupNorm", "x", "a", group=2, channels=6), {"w": 1, "h": 1, "c": 6}),
        (one("InstanceNorm", "x", "a", channels=6), {"w": 1, "h": 1, "c": 6}),
        (one("LayerNorm", "x", "a", affine_size=5), {"w": 5, "h": 1, "c": 1}),
        (one("RMSNorm", "x", "a", affine_size=5), {"w": 5, "h": 1, "c": 1}),
    ],
)
def test_a_normalization_takes_a_factor_and_an_offset(
    graph_of: GraphOf,
    filled: Filled,
    apply_pass: Apply,
    types: Types,
    norm: Layer,
    constant: dict[str, int],
    affine: int,
) -> None:
    norm.set("affine", affine)
    norm.weights = {}
    memory = filled(new_layer("MemoryData", "m", [], ["m"], **constant))
    layers = [filled(norm), memory, op(2, "a", "m", "b"), op(0, "b", "m", "y")]
    times = 1 if norm.type == "RMSNorm" else 2
    changed = apply_pass(fold_into_producers, graph_of(*layers, shape=(6, 4, 5)), times)
    assert types(changed).count("BinaryOp") == 2 - times


def test_a_normalization_with_factors_for_two_axes_stays(
    graph_of: GraphOf, filled: Filled, apply_pass: Apply
) -> None:
    norm = filled(one("LayerNorm", "x", "a", affine_size=20))
    memory = filled(new_layer("MemoryData", "m", [], ["m"], w=5, h=1, c=1))
    apply_pass(fold_into_producers, graph_of(norm, memory, op(2, "a", "m", "y"), shape=(6, 4, 5)), 0)
