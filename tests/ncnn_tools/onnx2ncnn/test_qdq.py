"""QDQ models as float models: what onnxruntime computes of both, and the scales that are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.onnx2ncnn import convert_onnx, is_quantized, without_pairs

Make = Callable[..., onnx.ModelProto]
Run = Callable[..., dict[str, np.ndarray]]

WEIGHT = np.random.default_rng(1).integers(-127, 128, (8, 4, 3, 3), np.int8)
STEPS = np.random.default_rng(2).uniform(0.001, 0.01, 8).astype(np.float32)
SHAPE = (1, 4, 6, 6)


def pair(source: str, scale: str, zero: str, **attributes: Any) -> list[onnx.NodeProto]:
    """Nodes that quantize and dequantize `source`, to `source`_dq."""
    names = [scale, zero]
    return [
        helper.make_node("QuantizeLinear", [source, *names], [f"{source}_q"], **attributes),
        helper.make_node("DequantizeLinear", [f"{source}_q", *names], [f"{source}_dq"]),
    ]


def weight(axis: int = 0) -> onnx.NodeProto:
    return helper.make_node("DequantizeLinear", ["w", "w_steps", "w_zero"], ["w_dq"], axis=axis)


def constants(**more: Any) -> dict[str, Any]:
    zero = np.int8(0)
    base = {"w": WEIGHT, "w_steps": STEPS, "w_zero": np.zeros(8, np.int8), "s": np.float32(0.05), "z": zero}
    return {**base, **more}


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_a_convolution_and_its_scales(make_model: Make, run_onnx: Run) -> None:
    convolution = helper.make_node("Conv", ["x_dq", "w_dq"], ["y"], pads=[1] * 4)
    model = make_model([weight(), *pair("x", "s", "z"), convolution], {"x": SHAPE}, ["y"], constants())
    assert is_quantized(model)
    plain = without_pairs(model)
    assert operators(plain.model) == ["Conv"]
    assert not is_quantized(plain.model)
    found = plain.scales["y"]
    np.testing.assert_array_equal(found.steps, STEPS)
    assert found.input.scale == np.float32(20)
    assert plain.readers == {}
    # On inputs that the pair leaves as they are, both are the same.
    on_grid = np.random.default_rng(0).integers(-127, 128, SHAPE).astype(np.float32) * np.float32(0.05)
    expected, actual = (run_onnx(m, {"x": on_grid})["y"] for m in (model, plain.model))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_a_model_without_pairs_stays_as_it_is(make_model: Make) -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": SHAPE}, ["y"])
    assert without_pairs(model).model is model


def test_weights_quantized_from_floats(make_model: Make, run_onnx: Run) -> None:
    """As the exports of pytorch-quantization and TensorRT's tools have them."""
    floats = np.random.default_rng(3).normal(0, 0.2, (8, 4, 3, 3)).astype(np.float32)
    nodes = [
        *pair("x", "s", "z"),
        helper.make_node("QuantizeLinear", ["f", "w_steps", "w_zero"], ["f_q"], axis=0),
        helper.make_node("DequantizeLinear", ["f_q", "w_steps", "w_zero"], ["f_dq"], axis=0),
        helper.make_node("Conv", ["x_dq", "f_dq"], ["y"]),
    ]
    model = make_model(nodes, {"x": SHAPE}, ["y"], constants(f=floats))
    plain = without_pairs(model)
    (initializer,) = plain.model.graph.initializer
    (expected,) = run_onnx(model, {"x": np.zeros(SHAPE, np.float32)}, ["f_dq"]).values()
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(initializer), expected)
    np.testing.assert_array_equal(plain.scales["y"].steps, STEPS)


def test_biases_in_integers(make_model: Make, run_onnx: Run) -> None:
    bias = np.arange(-4, 4, dtype=np.int32) * 100
    nodes = [
        weight(),
        helper.make_node("DequantizeLinear", ["b", "b_steps"], ["b_dq"], axis=0),
        *pair("x", "s", "z"),
        helper.make_node("Conv", ["x_dq", "w_dq", "b_dq"], ["y"]),
    ]
    model = make_model(nodes, {"x": SHAPE}, ["y"], constants(b=bias, b_steps=STEPS * np.float32(0.05)))
    plain = without_pairs(model)
    zeros = {"x": np.zeros(SHAPE, np.float32)}
    np.testing.assert_allclose(run_onnx(plain.model, zeros)["y"], run_onnx(model, zeros)["y"], rtol=1e-6)


@pytest.mark.parametrize("transposed", [False, True])
def test_products(make_model: Make, transposed: bool) -> None:
    levels = np.random.default_rng(4).integers(-127, 128, (5, 8), np.int8)
    steps = np.linspace(0.01, 0.02, 8, dtype=np.float32)
    given = {
        "w": levels,
        "w_steps": steps,
        "w_zero": np.zeros(8, np.int8),
        "s": np.float32(0.1),
        "z": np.int8(0),
    }
    nodes = [weight(axis=1), *pair("x", "s", "z")]
    if transposed:
        nodes += [
            helper.make_node("Transpose", ["w_dq"], ["w_t"], perm=[1, 0]),
            helper.make_node("Gemm", ["x_dq", "w_t"], ["y"], transB=1, alpha=0.5),
        ]
    else:
        nodes.append(helper.make_node("MatMul", ["x_dq", "w_dq"], ["y"]))
    plain = without_pairs(make_model(nodes, {"x": (1, 5)}, ["y"], given))
    np.testing.assert_array_equal(plain.scales["y"].steps, steps * np.float32(0.5 if transposed else 1))
    graph = convert_onnx(make_model(nodes, {"x": (1, 5)}, ["y"], given))
    own = graph.own_scales[graph.layers[-1].name]
    np.testing.assert_allclose(own.rows * own.weights[:, None], levels.T, atol=1e-4)


@pytest.mark.parametrize("moves", [["Flatten"], ["MaxPool"], ["Transpose", "Reshape"]])
def test_moves_between_a_pair_and_its_reader(make_model: Make, moves: Sequence[str]) -> None:
    attributes = {"MaxPool": {"kernel_shape": [1, 1]}, "Transpose": {"perm": [0, 2, 3, 1]}}
    nodes, blob = pair("x", "s", "z"), "x_dq"
    for move in moves:
        shape = ["shape"] if move == "Reshape" else []
        nodes.append(helper.make_node(move, [blob, *shape], [move], **attributes.get(move, {})))
        blob = move
    if blob == "MaxPool":
        nodes.append(helper.make_node("Flatten", [blob], ["flat"]))
        blob = "flat"
    nodes += [weight(axis=1), helper.make_node("MatMul", [blob, "w_dq"], ["y"])]
    given = constants(w=np.ones((16, 8), np.int8), shape=np.array([1, 16]))
    plain = without_pairs(make_model(nodes, {"x": (1, 4, 2, 2)}, ["y"], given))
    assert plain.scales["y"].input.step == np.float32(0.05)
    assert plain.readers == {}


def test_moves_within_a_pair(make_model: Make, run_onnx: Run) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("Transpose", ["q"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("DequantizeLinear", ["t", "s", "z"], ["y"]),
    ]
    model = make_model(nodes, {"x": SHAPE}, ["y"], {"s": np.float32(0.5), "z": np.int8(0)})
    plain = without_pairs(model).model
    assert operators(plain) == ["Transpose", "Identity"]
    x = np.random.default_rng(0).integers(-9, 9, SHAPE).astype(np.float32)
    np.testing.assert_array_equal(run_onnx(plain, {"x": x})["y"], run_onnx(model, {"x": x})["y"])


@pytest.mark.parametrize("zero", [np.uint8(0), np.uint8(100), np.int8(-128), np.int8(0), np.uint8(128)])
@pytest.mark.parametrize("opset", [10, 18])
def test_an_activation_that_the_range_stands_for(
    make_model: Make, run_onnx: Run, zero: Any, opset: int
) -> None:
    """Behind a sum the range is kept, unless it is that of signed values around 0."""
    nodes = [helper.make_node("Add", ["x", "x"], ["sum"]), *pair("sum", "s", "z")]
    nodes.append(helper.make_node("Neg", ["sum_dq"], ["y"]))
    model = make_model(nodes, {"x": SHAPE}, ["y"], {"s": np.float32(0.01), "z": zero}, opset=opset)
    plain = without_pairs(model)
    symmetric = zero.dtype == np.int8 and zero == 0
    assert ("Clip" in operators(plain.model)) != symmetric
    assert plain.readers == {"Neg": 1}
    x = np.random.default_rng(0).normal(0, 2, SHAPE).astype(np.float32)
    if not symmetric:
        actual, expected = (run_onnx(m, {"x": x})["y"] for m in (plain.model, model))
        np.testing.assert_allclose(actual, expected, atol=0.0051)


@pytest.mark.parametrize("before", ["Relu", "MaxPool", "input"])
def test_no_clip_where_none_was_taken_out(make_model: Make, before: str) -> None:
    nodes = [*pair("x", "s", "z")]
    if before == "Relu":
        nodes = [helper.make_node("Relu", ["x"], ["r"]), *pair("r", "s", "z")]
    if before == "MaxPool":
        nodes += [helper.make_node("MaxPool", ["x_dq"], ["m"], kernel_shape=[2, 2]), *pair("m", "s", "z")]
    nodes.append(helper.make_node("Neg", [nodes[-1].output[0]], ["y"]))
    model = make_model(nodes, {"x": SHAPE}, ["y"], {"s": np.float32(0.01), "z": np.uint8(0)})
    assert "Clip" not in operators(without_pairs(model).model)


def test_an_activation_behind_the_pair_is_enough(make_model: Make) -> None:
    nodes = [helper.make_node("Add", ["x", "x"], ["a"]), *pair("a", "s", "z")]
    nodes.append(helper.make_node("Relu", ["a_dq"], ["y"]))
    model = make_model(nodes, {"x": SHAPE}, ["y"], {"s": np.float32(0.01), "z": np.uint8(7)})
    assert operators(without_pairs(model).model) == ["Add", "Relu"]


def test_pairs_of_onnxruntime(make_model: Make, run_onnx: Run) -> None:
    nodes = [*pair("x", "s", "z"), helper.make_node("Relu", ["x_dq"], ["y"])]
    model = make_model(nodes, {"x": SHAPE}, ["y"], {"s": np.float32(0.5), "z": np.int8(0)})
    for node in model.graph.node[:2]:
        node.domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    plain = without_pairs(model).model
    assert operators(plain) == ["Relu"]
    x = {"x": np.random.default_rng(0).integers(-9, 9, SHAPE).astype(np.float32)}
    np.testing.assert_array_equal(run_onnx(plain, x)["y"], run_onnx(model, x)["y"])


def test_what_no_scales_are_kept_of(make_model: Make) -> None:
    """Weights in integers behind a float input, and weights with a scale along their inputs."""
    convolution = helper.make_node("Conv", ["x", "w_dq"], ["y"])
    assert not without_pairs(make_model([weight(), convolution], {"x": SHAPE}, ["y"], constants())).scales
    along = constants(w_steps=STEPS[:4], w_zero=np.zeros(4, np.int8))
    nodes = [weight(axis=1), *pair("x", "s", "z"), helper.make_node("Conv", ["x_dq", "w_dq"], ["y"])]
    plain = without_pairs(make_model(nodes, {"x": SHAPE}, ["y"], along))
    assert not plain.scales
    assert plain.readers == {"Conv": 1}


def test_refusals(make_model: Make) -> None:
    def refused(nodes: Sequence[onnx.NodeProto], **given: Any) -> str:
        inputs = {"x": SHAPE} | ({"scale": (1,)} if "scale" in str(nodes[0].input) else {})
        with pytest.raises(UnsupportedOperatorError) as caught:
            convert_onnx(make_model(nodes, inputs, ["y"], given))
        return str(caught.value)

    out = helper.make_node("Relu", ["x_dq"], ["y"])
    one, zero = np.float32(1), np.int8(0)
    assert "should be constants" in refused([*pair("x", "scale", "z"), out], z=zero)
    assert "a scale a channel" in refused(
        [*pair("x", "s", "z", axis=1), out], s=np.ones(4, np.float32), z=np.zeros(4, np.int8)
    )
    other = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "t", "z"], ["y"]),
    ]
    assert "another" in refused(other, s=one, t=np.float32(2), z=zero)
    assert "scale is 0" in refused([*pair("x", "s", "z"), out], s=np.float32(0), z=zero)
    dynamic = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    assert "quantize statically" in refused(dynamic)


@pytest.mark.parametrize("operator", ["QLinearConv", "ConvInteger", "QLinearAdd", "MatMulInteger"])
def test_integer_formats_are_refused_with_advice(operator: str) -> None:
    domain = "com.microsoft" if operator == "QLinearAdd" else ""
    node = helper.make_node(operator, ["x", "w"], ["y"], name="the_node", domain=domain)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)
    model = helper.make_model(helper.make_graph([node], "test", [value], []))
    with pytest.raises(UnsupportedOperatorError, match=r"the_node.*QuantFormat\.QDQ"):
        convert_onnx(model)
