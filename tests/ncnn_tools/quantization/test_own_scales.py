"""int8 with the scales of a QDQ model: the model's very numbers in each layer, and what onnxruntime computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ncnn_tools.graph import Graph
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.passes import optimize
from ncnn_tools.quantization import OwnInt8, quantize_as_given
from ncnn_tools.quantization.chains import gives_int8
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import MASK_NO_WINOGRAD

Make = Callable[..., onnx.ModelProto]
Run = Callable[..., dict[str, np.ndarray]]

SHAPE = (1, 16, 10, 10)


def normal(*shape: int, seed: int = 0, size: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, shape).astype(np.float32)


def given_int8(model: onnx.ModelProto) -> OwnInt8:
    return quantize_as_given(optimize(convert_onnx(model)))


def run(graph: Graph, x: np.ndarray) -> np.ndarray:
    return Runtime.from_graph(graph).run({"x": x[0]}, graph.outputs)[graph.outputs[0]]


def layer_model(make_model: Make, levels: np.ndarray, steps: np.ndarray, zero: Any, **attributes: Any) -> Any:
    """One convolution (of a step of 0.05 for its input), all weights in integers of these steps around `zero`."""
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "steps", "zero"], ["w_dq"], axis=0),
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", "s", "z"], ["x_dq"]),
        helper.make_node("Conv", ["x_dq", "w_dq", "b"], ["y"], name="conv", **attributes),
    ]
    zeros = np.full(len(steps), zero, levels.dtype)
    given = {"w": levels, "steps": steps, "zero": zeros, "s": np.float32(0.05), "z": np.int8(0)}
    given["b"] = normal(len(steps), seed=9)
    return make_model(nodes, {"x": SHAPE}, ["y"], given)


@pytest.mark.parametrize("group", [1, 16])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_layer_gets_the_numbers_of_the_model(
    make_model: Make, run_onnx: Run, group: int, kernel: int
) -> None:
    levels = np.random.default_rng(0).integers(-127, 128, (16, 16 // group, kernel, kernel), np.int8)
    steps = np.random.default_rng(1).uniform(1e-3, 1e-2, 16).astype(np.float32)
    model = layer_model(make_model, levels, steps, 0, group=group)
    result = given_int8(model)
    layer = next(layer for layer in result.graph.layers if layer.name == "conv")
    assert result.layers == ("conv",)
    assert (result.coarser, result.rescaled, result.left) == ((), (), {})
    np.testing.assert_array_equal(layer.weights["weight"].data, levels.reshape(-1))
    np.testing.assert_array_equal(layer.weights["weight_scales"].values(), np.float32(1) / steps)
    np.testing.assert_array_equal(layer.weights["input_scale"].values(), np.float32(20))
    x = np.maximum(normal(*SHAPE, seed=2, size=3), -6.35).astype(np.float32)  # below, ONNX has one level more
    x = np.where(np.abs(np.abs(x) * 20 % 1 - 0.5) < 1e-3, 0, x)  # no ties, which ncnn rounds away from 0
    expected = run_onnx(model, {"x": x})["y"][0]
    # Depthwise layers of ncnn divide by approximate reciprocals on x86 (_mm_rcp_ps, 12 bits).
    tolerance = 1e-5 if group == 1 else 4e-4
    np.testing.assert_allclose(run(result.graph, x), expected, atol=tolerance * np.abs(expected).max())


def test_weights_around_another_zero(make_model: Make) -> None:
    """Where all fit into -127..127 from there they stay; a wider row gets wider steps."""
    levels = np.random.default_rng(0).integers(90, 160, (4, 16, 1, 1), np.uint8)
    steps = np.full(4, 0.01, np.float32)
    result = given_int8(layer_model(make_model, levels, steps, 120))
    layer = result.graph.layers[-1]
    np.testing.assert_array_equal(layer.weights["weight"].data, levels.reshape(-1).astype(int) - 120)
    assert result.rescaled == ()
    levels[1, 0] = 255
    result = given_int8(layer_model(make_model, levels, steps, 100))
    assert result.rescaled == ("conv",)
    scales = result.graph.layers[-1].weights["weight_scales"].values()
    np.testing.assert_allclose(scales, [100, 127 / 1.55, 100, 100], rtol=1e-5)


def test_the_lowest_level_is_one_higher(make_model: Make) -> None:
    levels = np.full((2, 16, 1, 1), -128, np.int8)
    result = given_int8(layer_model(make_model, levels, np.full(2, 0.01, np.float32), 0))
    layer = result.graph.layers[-1]
    assert set(layer.weights["weight"].data) == {-127}
    np.testing.assert_array_equal(layer.weights["weight_scales"].values(), np.float32(1) / np.float32(0.01))


def test_a_factor_on_the_outputs_goes_into_the_scales(make_model: Make, run_onnx: Run) -> None:
    """A batch norm behind the layer, one factor of which is negative and one zero: the pass folds it."""
    levels = np.random.default_rng(0).integers(-127, 128, (4, 16, 1, 1), np.int8)
    steps = np.full(4, 0.01, np.float32)
    model = layer_model(make_model, levels, steps, 0)
    nodes = list(model.graph.node)
    nodes[-1].output[0] = "c"
    nodes.append(helper.make_node("Mul", ["c", "factors"], ["y"]))
    factors = np.array([2, -0.5, 0, 1], np.float32).reshape(4, 1, 1)
    given = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer} | {"factors": factors}
    model = make_model(nodes, {"x": SHAPE}, ["y"], given)
    result = given_int8(model)
    assert [layer.type for layer in result.graph.layers] == ["Input", "Convolution"]
    layer = result.graph.layers[-1]
    np.testing.assert_allclose(layer.weights["weight_scales"].values(), [50, 200, 100, 100], rtol=1e-6)
    rows = layer.weights["weight"].data.reshape(4, 16)
    np.testing.assert_array_equal(rows, levels.reshape(4, 16) * np.array([[1], [-1], [0], [1]]))
    x = np.random.default_rng(3).integers(-127, 128, SHAPE).astype(np.float32) * np.float32(0.05)
    np.testing.assert_allclose(run(result.graph, x), run_onnx(model, {"x": x})["y"][0], rtol=1e-4, atol=1e-3)


def test_weights_that_are_no_longer_the_models_stay_float(make_model: Make) -> None:
    levels = np.random.default_rng(0).integers(-127, 128, (4, 16, 1, 1), np.int8)
    graph = optimize(convert_onnx(layer_model(make_model, levels, np.full(4, 0.01, np.float32), 0)))
    layer = graph.layers[-1]
    layer.set_weight("weight", layer.weights["weight"].values() + normal(64, size=0.1))
    result = quantize_as_given(graph)
    assert result.layers == ()
    assert list(result.left) == ["conv"]


def test_winograd_that_could_overflow_is_masked(make_model: Make) -> None:
    levels = np.full((16, 16, 3, 3), 127, np.int8)
    steps = np.full(16, 1e-3, np.float32)
    (small,) = (
        layer
        for layer in given_int8(layer_model(make_model, levels, steps, 0)).graph.layers
        if layer.name == "conv"
    )
    assert not small.feature_mask & MASK_NO_WINOGRAD  # 144 · 127² = 2.3 million
    nodes = layer_model(make_model, np.full((16, 32, 3, 3), 127, np.int8), steps, 0)
    nodes.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 32
    (large,) = (layer for layer in given_int8(nodes).graph.layers if layer.name == "conv")
    assert large.feature_mask & MASK_NO_WINOGRAD


# --- models by onnxruntime ---


class Reader(CalibrationDataReader):
    """Random inputs; what onnxruntime's quantizer asks for."""

    def __init__(self) -> None:
        self._inputs = iter([{"x": normal(1, 3, 24, 24, seed=seed)} for seed in range(6)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def mobile_blocks(make_model: Make) -> onnx.ModelProto:
    """A stem, an inverted residual block, a grouped convolution, a Concat, pooling and a classifier."""
    given: dict[str, Any] = {"low": np.float32(0), "high": np.float32(6), "axes": np.array([2, 3])}
    nodes: list[onnx.NodeProto] = []

    def convolution(
        source: str, target: str, outputs: int, inputs: int, kernel: int, **attributes: Any
    ) -> None:
        weight = normal(outputs, inputs, kernel, kernel, seed=len(nodes), size=(inputs * kernel**2) ** -0.5)
        given[f"{target}_w"], given[f"{target}_b"] = weight, normal(outputs, seed=99, size=0.1)
        names = [source, f"{target}_w", f"{target}_b"]
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", names, [target], name=target, pads=pads, **attributes))

    def add(operator: str, inputs: list[str], target: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(operator, inputs, [target], name=target, **attributes))

    convolution("x", "stem", 16, 3, 3, strides=[2, 2])
    add("Relu", ["stem"], "stem_relu")
    convolution("stem_relu", "expand", 32, 16, 1)
    add("Clip", ["expand", "low", "high"], "expand_6")
    convolution("expand_6", "depthwise", 32, 1, 3, group=32)
    add("Clip", ["depthwise", "low", "high"], "depthwise_6")
    convolution("depthwise_6", "project", 16, 32, 1)
    add("Add", ["stem_relu", "project"], "sum")
    convolution("sum", "conv", 16, 16, 3)
    add("Relu", ["conv"], "conv_relu")
    add("Concat", ["conv_relu", "sum"], "both", axis=1)
    add("MaxPool", ["both"], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    convolution("pooled", "grouped", 32, 8, 3, group=4)
    add("Relu", ["grouped"], "grouped_relu")
    add("GlobalAveragePool", ["grouped_relu"], "mean")
    add("Flatten", ["mean"], "flat")
    given["fc_w"], given["fc_b"] = normal(10, 32, seed=5, size=0.2), normal(10, seed=6)
    add("Gemm", ["flat", "fc_w", "fc_b"], "y", transB=1)
    return make_model(nodes, {"x": (1, 3, 24, 24)}, ["y"], given, opset=17)


FLAVOURS = {
    "u8s8": (QuantType.QUInt8, QuantType.QInt8, True, False),
    "s8s8": (QuantType.QInt8, QuantType.QInt8, True, True),
    "s8s8 tensor": (QuantType.QInt8, QuantType.QInt8, False, True),
    "s8 around any zero": (QuantType.QInt8, QuantType.QInt8, True, False),
    "u8u8": (QuantType.QUInt8, QuantType.QUInt8, False, False),
}


@pytest.fixture(scope="module", params=list(FLAVOURS))
def quantized(
    request: Any, make_model: Make, tmp_path_factory: Any
) -> tuple[str, onnx.ModelProto, onnx.ModelProto]:
    """The name of a flavour, the float model, and what onnxruntime's quantizer makes of it."""
    folder = tmp_path_factory.mktemp("qdq")
    model = mobile_blocks(make_model)
    onnx.save(model, folder / "float.onnx")
    activations, weights, per_channel, symmetric = FLAVOURS[request.param]
    quantize_static(
        folder / "float.onnx",
        folder / "qdq.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        activation_type=activations,
        weight_type=weights,
        per_channel=per_channel,
        extra_options={"ActivationSymmetric": symmetric},
    )
    return request.param, model, onnx.load(folder / "qdq.onnx")


def snr(actual: np.ndarray, expected: np.ndarray) -> float:
    error = np.square(actual.reshape(-1) - expected.reshape(-1)).sum()
    return float(10 * np.log10(np.square(expected).sum() / error))


def test_onnxruntimes_models(quantized: Any, run_onnx: Run) -> None:
    flavour, model, qdq = quantized
    result = given_int8(qdq)
    inputs = [normal(1, 3, 24, 24, seed=100 + seed) for seed in range(4)]
    floats, reference = (
        np.concatenate([run_onnx(m, {"x": x})["y"][0] for x in inputs]) for m in (model, qdq)
    )
    actual = np.concatenate([run(result.graph, x) for x in inputs])
    assert set(result.layers) == {"stem", "expand", "depthwise", "project", "conv", "y"}
    assert set(result.left) == {"grouped"}
    # As far from the float model as onnxruntime's int8 is, but for coarser steps (6 dB are one bit).
    assert snr(actual, floats) > snr(reference, floats) - (1 if "s8s8" in flavour else 6)
    assert snr(actual, reference) > 25
    assert bool(result.coarser) == ("s8s8" not in flavour)


def test_onnxruntimes_scales(quantized: Any) -> None:
    """Every scale is one of the QDQ model's, each weight that of its integers."""
    flavour, _, qdq = quantized
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in qdq.graph.initializer}
    by_output = {node.output[0]: node for node in qdq.graph.node}
    nodes = {node.name: node for node in qdq.graph.node}
    result = given_int8(qdq)
    for layer in (layer for layer in result.graph.layers if layer.name in result.layers):
        node = nodes[layer.name]
        source, weight = (by_output[name] for name in node.input[:2])
        step, zero = (tensors[name] for name in source.input[1:3])
        low, high = (
            (limit - int(zero)) * float(step)
            for limit in (np.iinfo(zero.dtype).min, np.iinfo(zero.dtype).max)
        )
        expected = 1 / float(step) if "s8s8" in flavour else 127 / max(-low, high)
        assert layer.weights["input_scale"].values()[0] == pytest.approx(expected, rel=1e-6)
        if layer.name in result.rescaled:
            continue
        middle = tensors[weight.input[2]].astype(int).reshape(-1)[0]  # of all channels
        levels = tensors[weight.input[0]].astype(int) - middle
        np.testing.assert_array_equal(layer.weights["weight"].data, levels.reshape(-1))
        steps = np.broadcast_to(
            tensors[weight.input[1]].reshape(-1), layer.weights["weight_scales"].data.shape
        )
        np.testing.assert_allclose(layer.weights["weight_scales"].values(), 1 / steps, rtol=1e-6)


def test_chains_where_both_ends_are_int8(quantized: Any) -> None:
    result = given_int8(quantized[2])
    chained = {layer.name for layer in result.graph.layers if gives_int8(layer)}
    assert chained == {"expand", "depthwise"}  # the others are read by Add and Concat too, or by pooling


def test_the_float_model_is_exact(quantized: Any, run_onnx: Run) -> None:
    """The activations that the quantizer took out are back: as near the float model as rounded weights can be."""
    _, model, qdq = quantized
    graph = optimize(convert_onnx(qdq))
    x = normal(1, 3, 24, 24, seed=50)
    assert snr(run(graph, x), run_onnx(model, {"x": x})["y"]) > 30
