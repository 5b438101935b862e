"""The layer schema, against the ncnn wheel: it must read exactly the bytes that the schema lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ncnn
import numpy as np
import pytest

from ncnn_tools.errors import GraphError, RuntimeFailedError
from ncnn_tools.files import save
from ncnn_tools.graph import Graph, Layer, Storage, Weight, new_layer
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import LAYERS

# The layers that version 1.0.20261020 is built with (ncnn_add_layer in src/CMakeLists.txt).
BUILT_IN = set(
    """
AbsVal ArgMax BatchNorm Bias BNLL Concat Convolution Crop Deconvolution Dropout Eltwise ELU Embed Exp Flatten
InnerProduct Input Log LRN MemoryData MVN Pooling Power PReLU Proposal Reduction ReLU Reshape ROIPooling Scale
Sigmoid Slice Softmax Split SPP TanH Threshold Tile RNN LSTM BinaryOp UnaryOp ConvolutionDepthWise Padding Squeeze
ExpandDims Normalize Permute PriorBox DetectionOutput Interp DeconvolutionDepthWise ShuffleChannel InstanceNorm
Clip Reorg YoloDetectionOutput Quantize Dequantize Yolov3DetectionOutput PSROIPooling ROIAlign Packing Requantize
Cast HardSigmoid SELU HardSwish Noop PixelShuffle DeepCopy Mish StatisticsPooling Swish Gemm GroupNorm LayerNorm
Softplus GRU MultiHeadAttention GELU Convolution1D Pooling1D ConvolutionDepthWise1D Convolution3D
ConvolutionDepthWise3D Pooling3D MatMul Deconvolution1D DeconvolutionDepthWise1D Deconvolution3D
DeconvolutionDepthWise3D Einsum DeformableConv2D GLU Fold Unfold GridSample CumulativeSum CopyTo Erf Diag CELU
Shrink RMSNorm Spectrogram InverseSpectrogram Flip SDPA RotaryEmbed
""".split()  # noqa: SIM905 - 110 quoted names would be no easier to read
)

WINDOW = {"num_output": 6, "kernel_w": 3}
PLANE, LINE, CUBE = 6 * 4 * 9, 6 * 4 * 3, 6 * 4 * 27
DEPTHWISE = {"num_output": 4, "kernel_w": 3, "group": 4, "weight_data_size": 36}
PRODUCT = {"num_output": 5, "weight_data_size": 35}
LSTM, GRU, RNN = (4 * 4 * 3, 3 * 4 * 3, 4 * 3)  # gates, hidden size 4, input size 3
GEMM = {"constant_m": 2, "constant_n": 3, "constant_k": 4}
ATTENTION = {"embed_dim": 8, "num_heads": 2}

CASES: list[tuple[str, dict[str, Any]]] = [
    ("Convolution", {**WINDOW, "weight_data_size": PLANE}),
    ("Convolution", {**WINDOW, "weight_data_size": PLANE, "bias_term": 1}),
    ("Convolution", {**WINDOW, "weight_data_size": 6 * 4 * 15, "kernel_h": 5, "bias_term": 1}),
    ("Convolution", {**WINDOW, "weight_data_size": PLANE, "bias_term": 1, "int8_scale_term": 2}),
    ("Convolution", {**WINDOW, "weight_data_size": PLANE, "bias_term": 1, "int8_scale_term": 102}),
    ("Convolution", {**WINDOW, "weight_data_size": PLANE, "bias_term": 1, "dynamic_weight": 1}),
    ("ConvolutionDepthWise", {**DEPTHWISE}),
    ("ConvolutionDepthWise", {**DEPTHWISE, "bias_term": 1}),
    ("ConvolutionDepthWise", {**DEPTHWISE, "bias_term": 1, "int8_scale_term": 1}),
    ("ConvolutionDepthWise", {**DEPTHWISE, "bias_term": 1, "int8_scale_term": 101}),
    ("ConvolutionDepthWise", {**DEPTHWISE, "bias_term": 1, "int8_scale_term": 2}),
    ("ConvolutionDepthWise", {**DEPTHWISE, "bias_term": 1, "int8_scale_term": 102}),
    ("ConvolutionDepthWise", {**WINDOW, "group": 2, "weight_data_size": PLANE // 2, "int8_scale_term": 1}),
    ("ConvolutionDepthWise", {**DEPTHWISE, "bias_term": 1, "dynamic_weight": 1}),
    *(
        (f"{kind}{dimensions}", {**WINDOW, "weight_data_size": size, "bias_term": bias})
        for kind in ("Convolution", "Deconvolution")
        for dimensions, size in (("", PLANE), ("1D", LINE), ("3D", CUBE))
        for bias in (0, 1)
    ),
    *(
        (f"{kind}DepthWise{dimensions}", {**DEPTHWISE, "weight_data_size": size, "bias_term": bias})
        for kind in ("Convolution", "Deconvolution")
        for dimensions, size in (("", 36), ("1D", 12), ("3D", 108))
        for bias in (0, 1)
    ),
    ("Convolution1D", {**WINDOW, "weight_data_size": LINE, "bias_term": 1, "dynamic_weight": 1}),
    ("Deconvolution", {**WINDOW, "weight_data_size": PLANE, "bias_term": 1, "dynamic_weight": 1}),
    ("DeformableConv2D", {**WINDOW, "weight_data_size": PLANE, "bias_term": 1}),
    ("InnerProduct", {**PRODUCT}),
    ("InnerProduct", {**PRODUCT, "bias_term": 1}),
    ("InnerProduct", {**PRODUCT, "bias_term": 1, "int8_scale_term": 2}),
    ("InnerProduct", {**PRODUCT, "bias_term": 1, "int8_scale_term": 102}),
    ("BatchNorm", {"channels": 5, "eps": 1e-5}),
    ("Bias", {"bias_data_size": 5}),
    ("Scale", {"scale_data_size": 5}),
    ("Scale", {"scale_data_size": 5, "bias_term": 1}),
    ("Scale", {"scale_data_size": -233}),
    ("PReLU", {"num_slope": 1}),
    ("PReLU", {"num_slope": 7}),
    ("Normalize", {"scale_data_size": 5}),
    ("LayerNorm", {"affine_size": 6}),
    ("LayerNorm", {"affine_size": 6, "affine": 0}),
    ("RMSNorm", {"affine_size": 6}),
    ("RMSNorm", {"affine_size": 6, "affine": 0}),
    ("GroupNorm", {"group": 2, "channels": 6}),
    ("GroupNorm", {"group": 2, "channels": 6, "affine": 0}),
    ("InstanceNorm", {"channels": 6}),
    ("InstanceNorm", {"channels": 6, "affine": 0}),
    ("MemoryData", {"w": 5}),
    ("MemoryData", {"w": 5, "h": 3}),
    ("MemoryData", {"w": 5, "h": 3, "c": 2}),
    ("MemoryData", {"w": 5, "h": 3, "d": 4, "c": 2}),
    ("MemoryData", {"w": 5, "h": 3, "load_type": 0}),
    ("Embed", {"num_output": 4, "input_dim": 5, "weight_data_size": 20}),
    ("Embed", {"num_output": 4, "input_dim": 5, "weight_data_size": 20, "bias_term": 1}),
    *(
        (kind, {"num_output": 4, "weight_data_size": size, **more})
        for kind, size in (("LSTM", LSTM), ("GRU", GRU), ("RNN", RNN))
        for more in ({}, {"direction": 1}, {"int8_scale_term": 2})
    ),
    *(
        (kind, {"num_output": 4, "weight_data_size": 2 * size, "direction": 2, "int8_scale_term": term})
        for kind, size in (("LSTM", LSTM), ("GRU", GRU), ("RNN", RNN))
        for term in (0, 2)
    ),
    ("LSTM", {"num_output": 2, "hidden_size": 4, "weight_data_size": LSTM}),
    ("LSTM", {"num_output": 2, "hidden_size": 4, "weight_data_size": 2 * LSTM, "direction": 2}),
    ("Gemm", {**GEMM, "constant_a": 1}),
    ("Gemm", {**GEMM, "constant_b": 1}),
    ("Gemm", {**GEMM, "constant_b": 1, "trans_b": 1}),
    ("Gemm", {**GEMM, "constant_b": 1, "constant_c": 1, "constant_broadcast_type_c": -1}),
    *(
        (
            "Gemm",
            {**GEMM, "constant_a": 1, "constant_b": 1, "constant_c": 1, "constant_broadcast_type_c": kind},
        )
        for kind in range(5)
    ),
    ("Gemm", {**GEMM, "constant_a": 1, "int8_scale_term": 2}),
    ("Gemm", {**GEMM, "constant_b": 1, "int8_scale_term": 2}),
    ("Gemm", {**GEMM, "constant_a": 1, "constant_b": 1, "int8_scale_term": 2}),
    ("MultiHeadAttention", {**ATTENTION, "weight_data_size": 64}),
    ("MultiHeadAttention", {**ATTENTION, "weight_data_size": 48, "kdim": 10, "vdim": 12}),
    ("MultiHeadAttention", {**ATTENTION, "weight_data_size": 64, "int8_scale_term": 2}),
    ("Quantize", {}),
    ("Quantize", {"scale_data_size": 4}),
    ("Dequantize", {}),
    ("Dequantize", {"scale_data_size": 4, "bias_data_size": 4}),
    ("Requantize", {}),
    ("Requantize", {"scale_in_data_size": 4, "scale_out_data_size": 4, "bias_data_size": 4}),
    ("Padding", {"left": 1}),
    ("Padding", {"left": 1, "per_channel_size": 4}),
]
INT8_STORED = [
    (
        "Embed",
        {"num_output": 4, "input_dim": 5, "weight_data_size": 20, "bias_term": 1, "int8_scale_term": 1},
    ),
    ("LSTM", {"num_output": 4, "weight_data_size": LSTM, "int8_scale_term": 2}),
    ("Gemm", {**GEMM, "constant_b": 1, "trans_b": 1, "int8_scale_term": 2}),
    *((kind, params) for kind, params in CASES if kind.startswith("Conv") and "int8_scale_term" in params),
]


def fill(layer: Layer, *, int8: bool = False) -> Layer:
    """Give a layer weights of the schema's sizes, all different, int8 ones in the tagged places if asked."""
    rng = np.random.default_rng(0)
    for spec in layer.weight_specs():
        if int8 and spec.tagged and not spec.name.startswith("bias"):
            layer.weights[spec.name] = Weight(
                rng.integers(-127, 128, spec.size).astype(np.int8), Storage.INT8
            )
        else:
            layer.set_weight(spec.name, rng.uniform(0.5, 2, spec.size))
    return layer


def marker_after(layer: Layer, folder: Path, missing: int = 0) -> np.ndarray:
    """Load a layer with a constant behind it in the .bin (less some bytes), and return that constant."""
    marker = new_layer("MemoryData", "marker", [], ["marker"], w=4)
    marker.set_weight("data", [1, -2, 3, -4])
    graph = Graph([new_layer("Input", "x", [], ["x"]), layer, marker])
    save(graph, folder / "m.param", folder / "m.bin")
    data = (folder / "m.bin").read_bytes()
    (folder / "m.bin").write_bytes(data[: len(data) - missing])
    return Runtime(folder / "m.param", folder / "m.bin").run({}, ["marker"])["marker"]


def identify(case: tuple[str, dict[str, Any]]) -> str:
    return "-".join([case[0], *(f"{name}={value}" for name, value in case[1].items())])


def made(kind: str, params: dict[str, Any]) -> Layer:
    return new_layer(kind, "layer", [] if kind == "MemoryData" else ["x"], ["y"], **params)


@pytest.mark.parametrize(("kind", "params"), CASES, ids=map(identify, CASES))
def test_ncnn_reads_as_many_bytes_as_the_schema_says(
    kind: str, params: dict[str, Any], tmp_path: Path
) -> None:
    layer = fill(made(kind, params))
    assert marker_after(layer, tmp_path).tolist() == [1, -2, 3, -4]
    with pytest.raises(RuntimeFailedError):
        marker_after(layer, tmp_path, missing=4)


@pytest.mark.parametrize(("kind", "params"), INT8_STORED, ids=map(identify, INT8_STORED))
def test_the_same_with_int8_weights(kind: str, params: dict[str, Any], tmp_path: Path) -> None:
    layer = fill(made(kind, params), int8=True)
    assert marker_after(layer, tmp_path).tolist() == [1, -2, 3, -4]


# What ncnn wants to know before it takes these, by id.
NEEDED: dict[str, dict[int, Any]] = {
    "Einsum": {0: tuple(b"ik,kj->ij")},
    "Fold": {1: 2, 20: 4},
    "InverseSpectrogram": {0: 8},
    "Pooling": {1: 2},
    "Pooling1D": {1: 2},
    "Pooling3D": {1: 2},
    "PriorBox": {0: (1.0,)},
    "ROIAlign": {0: 2, 1: 2},
    "Reshape": {0: 1},
    "Spectrogram": {0: 8},
    "Unfold": {1: 2},
    "YoloDetectionOutput": {0: 20, 1: 5, 4: (1.0,) * 10},
    "Yolov3DetectionOutput": {0: 20, 1: 3, 4: (1.0,) * 6, 5: (0.0, 1.0, 2.0), 6: (1.0,)},
}
LEFT_OUT = {"ArgMax", "SPP"}  # known by name, but left out of upstream's build unless asked for
WEIGHTLESS = sorted(set(LAYERS) - {kind for kind, _ in CASES} - {"Input"} - LEFT_OUT)


@pytest.mark.parametrize("kind", WEIGHTLESS)
def test_the_other_layers_read_nothing(kind: str, tmp_path: Path) -> None:
    layer = Layer(kind, "layer", ["x"], ["y"], NEEDED.get(kind, {}))
    assert marker_after(layer, tmp_path).tolist() == [1, -2, 3, -4]


def test_every_layer_with_weights_is_covered() -> None:
    def lookup(name: str) -> int:
        return 0 if name == "dynamic_weight" else 1

    assert {kind for kind, schema in LAYERS.items() if schema.weights(lookup)} == {kind for kind, _ in CASES}


def test_the_schema_knows_the_layers_that_ncnn_has() -> None:
    assert set(LAYERS) == BUILT_IN
    assert all(ncnn.layer_to_index(kind) != -1 for kind in LAYERS)


@pytest.mark.parametrize("schema", LAYERS.values(), ids=LAYERS.keys())
def test_ids_and_defaults_are_consistent(schema: Any) -> None:
    ids = [param.id for param in schema.params.values()]
    assert len(set(ids)) == len(ids)
    assert all(0 <= number < 30 for number in ids)
    for name, param in schema.params.items():
        assert schema.names[param.id] == name
        assert not isinstance(param.default, str) or param.default in schema.params


X = np.random.default_rng(1).normal(0, 2, (6, 4, 5)).astype(np.float32)


def normalized(axes: tuple[int, ...], values: np.ndarray = X) -> np.ndarray:
    mean, variance = (function(values, axis=axes, keepdims=True) for function in (np.mean, np.var))
    return (values - mean) / np.sqrt(variance + 1e-3)


GAMMA, BETA = np.linspace(1, 2, 6)[:, None, None], np.linspace(-3, 3, 6)[:, None, None]
ROOT = np.sqrt((X**2).mean(axis=2, keepdims=True) + 1e-3)
ORDERED = [
    ("Scale", {"scale_data_size": 6, "bias_term": 1}, {"scale": GAMMA, "bias": BETA}, X * GAMMA + BETA),
    ("Bias", {"bias_data_size": 6}, {"bias": BETA}, X + BETA),
    ("InstanceNorm", {"channels": 6}, {"gamma": GAMMA, "beta": BETA}, normalized((1, 2)) * GAMMA + BETA),
    (
        "GroupNorm",
        {"group": 2, "channels": 6},
        {"gamma": GAMMA, "beta": BETA},
        normalized((1, 2, 3), X.reshape(2, 3, 4, 5)).reshape(X.shape) * GAMMA + BETA,
    ),
    (
        "LayerNorm",
        {"affine_size": 5},
        {"gamma": np.arange(1, 6), "beta": np.arange(-2, 3)},
        normalized((2,)) * np.arange(1, 6) + np.arange(-2, 3),
    ),
    ("RMSNorm", {"affine_size": 5}, {"gamma": np.arange(1, 6)}, X / ROOT * np.arange(1, 6)),
]


@pytest.mark.parametrize(
    ("kind", "params", "weights", "expected"), ORDERED, ids=[case[0] for case in ORDERED]
)
def test_weights_of_equal_size_stand_in_ncnns_order(
    kind: str, params: dict[str, Any], weights: dict[str, np.ndarray], expected: np.ndarray
) -> None:
    layer = new_layer(kind, "layer", ["x"], ["y"], **params)
    for name, values in weights.items():
        layer.set_weight(name, values)
    graph = Graph([new_layer("Input", "x", [], ["x"], w=5, h=4, c=6), layer], ["y"])
    np.testing.assert_allclose(Runtime.from_graph(graph).run({"x": X})["y"], expected, atol=1e-4)


def test_defaults_follow_other_parameters() -> None:
    layer = new_layer("Convolution", "c", ["x"], ["y"], kernel_w=5, pad_left=2, pad_top=3)
    assert layer.get("kernel_h") == 5
    assert [layer.get(f"pad_{side}") for side in ("left", "right", "top", "bottom")] == [2, 2, 3, 3]


def test_unknown_types_and_parameters_are_refused() -> None:
    with pytest.raises(GraphError, match="no layer type 'Frobnicate'"):
        new_layer("Frobnicate", "f", [], ["y"], size=3)
    with pytest.raises(GraphError, match="ReLU has no parameter 'slop'"):
        new_layer("ReLU", "r", ["x"], ["y"], slop=0.1)
