"""Quantized ONNX files: a bundle with the scales that they bring, and what is said about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from mobiledeploy.bundle import Bundle
from mobiledeploy.convert import ConvertRequest, convert
from mobiledeploy.convert.check import FP32_TOLERANCE
from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.report.bundle_table import footnotes
from mobiledeploy.source.onnx_file import load_onnx
from mobiledeploy.source.reference import open_session
from mobiledeploy.source.reference import run as run_onnx
from ncnn_tools.files import load
from ncnn_tools.onnx2ncnn import is_quantized
from ncnn_tools.runtime import Runtime

SHAPE = (1, 3, 16, 16)


def normal(*shape: int, seed: int, size: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, shape).astype(np.float32)


class Reader(CalibrationDataReader):
    def __init__(self) -> None:
        self._inputs = iter([{"x": normal(*SHAPE, seed=seed)} for seed in range(64)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def float_model() -> onnx.ModelProto:
    """Two convolutions with a Relu between them, the input added, and a product."""
    given = {
        "w1": normal(8, 3, 3, 3, seed=1, size=0.2),
        "b1": normal(8, seed=2, size=0.1),
        "w2": normal(3, 8, 1, 1, seed=3, size=0.3),
        "w3": normal(3 * 256, 4, seed=4, size=0.05),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="first", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], name="second"),
        helper.make_node("Add", ["c2", "x"], ["sum"]),
        helper.make_node("Flatten", ["sum"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w3"], ["y"], name="third"),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", 1, SHAPE)],
        [helper.make_tensor_value_info("y", 1, (1, 4))],
        [numpy_helper.from_array(value, name) for name, value in given.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a file by onnxruntime's quantizer, of activations of a type."""
    folder = tmp_path_factory.mktemp("models")
    onnx.save(float_model(), folder / "float.onnx")

    def make(activations: QuantType = QuantType.QInt8, form: QuantFormat = QuantFormat.QDQ) -> Path:
        target = folder / f"{activations}_{form}.onnx"
        if not target.is_file():
            quantize_static(
                *(folder / "float.onnx", target, Reader()),
                quant_format=form,
                activation_type=activations,
                per_channel=True,
                extra_options={"ActivationSymmetric": activations is QuantType.QInt8},
            )
        return target

    return make


def request(source: Path, output: Path, **changes: Any) -> ConvertRequest:
    values = {"source": source, "output": output, "name": "net", "precisions": ("fp32", "fp16", "int8")}
    return ConvertRequest(**(values | changes))


@pytest.fixture(scope="module")
def bundle_of(
    quantized: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Bundle]:
    """Convert the file of a type of activations, once; that of QUInt8 with pictures to calibrate on."""
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "samples").mkdir()
    np.save(folder / "samples" / "x.npy", normal(*SHAPE, seed=0))

    def make(activations: QuantType = QuantType.QInt8) -> Bundle:
        samples = folder / "samples" if activations is QuantType.QUInt8 else None
        wanted = request(quantized(activations), folder / str(activations), calibration=samples)
        return convert(wanted)[0]

    return make


@pytest.mark.parametrize("activations", [QuantType.QInt8, QuantType.QUInt8])
def test_a_bundle_with_the_models_own_scales(
    quantized: Callable[..., Path], bundle_of: Callable[..., Bundle], activations: QuantType
) -> None:
    source, bundle = quantized(activations), bundle_of(activations)
    assert bundle.manifest["calibration"] is None
    assert bundle.manifest["variants"]["int8"]["int8_layers"] == ["first", "second", "third"]
    # The reference is the float model, simplified; int8 is compared with the quantized one.
    assert bundle.manifest["onnx"]["simplified"]
    assert not is_quantized(load_onnx(bundle.onnx).model)
    samples = np.load(bundle.samples()["x"])
    for precision, reference, tolerance in (
        ("fp32", bundle.onnx, FP32_TOLERANCE),
        ("int8", source, 0.1),
    ):
        variant = bundle.variant(precision)
        net = Runtime(variant.param, variant.bin)
        actual = np.stack([net.run({"x": x}, ["y"])["y"] for x in samples])
        session = open_session(reference)
        expected = np.concatenate([run_onnx(session, {"x": x[None]})["y"] for x in samples])
        worst = float(np.abs(actual - expected).max())
        assert worst < tolerance * np.abs(expected).max()  # beyond its range an output of the QDQ model ends
        assert variant.parity["outputs"]["y"]["max_abs"] == pytest.approx(worst, rel=1e-3, abs=1e-6)


def test_weights_are_the_models_integers(
    quantized: Callable[..., Path], bundle_of: Callable[..., Bundle]
) -> None:
    source, variant = quantized(), bundle_of().variant("int8")
    layers = {layer.name: layer for layer in load(variant.param, variant.bin).layers}
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(source).graph.initializer}
    for name, weight in (("first", "w1"), ("second", "w2"), ("third", "w3")):
        levels = tensors[f"{weight}_quantized"]
        levels = levels.T if name == "third" else levels
        np.testing.assert_array_equal(layers[name].weights["weight"].data, levels.reshape(-1))


def test_what_is_said_of_it(bundle_of: Callable[..., Bundle]) -> None:
    notes = " ".join(footnotes(bundle_of()))
    assert "3 layers with the scales of the QDQ model" in notes
    assert "Add" in notes
    assert "wider" not in notes
    notes = " ".join(footnotes(bundle_of(QuantType.QUInt8)))
    assert "The inputs of 3 int8 layers (first, second, third)" in notes
    assert "calibration pictures set no scales" in notes


def test_converting_again(
    quantized: Callable[..., Path], bundle_of: Callable[..., Bundle], tmp_path: Path
) -> None:
    first = bundle_of()
    assert not convert(request(quantized(), first.path))[1]
    shutil.copytree(first.path, tmp_path / "b")
    fewer, made = convert(request(quantized(), tmp_path / "b", precisions=("int8",)))
    assert made
    assert footnotes(fewer) == footnotes(first)


def test_without_int8_nothing_is_said(quantized: Callable[..., Path], tmp_path: Path) -> None:
    bundle, _ = convert(request(quantized(), tmp_path / "b", precisions=("fp32",)))
    assert bundle.manifest["qdq"] is None
    assert footnotes(bundle) == []


def test_the_command_makes_int8_without_being_told(
    quantized: Callable[..., Path], command: Callable[..., Any], tmp_path: Path
) -> None:
    outcome = command("convert", quantized(), "-o", tmp_path / "b", "--format", "markdown")
    assert outcome.code == 0
    assert "| int8 |" in outcome.out
    assert "scales of the QDQ model" in outcome.out


def test_another_converter_brings_no_scales(quantized: Callable[..., Path], tmp_path: Path) -> None:
    assert not request(quantized(), tmp_path / "b", converter="pnnx").own_scales
    float_file = quantized().with_name("float.onnx")
    assert not request(float_file, tmp_path / "b").own_scales
    with pytest.raises(UsageError, match="needs pictures"):
        convert(request(float_file, tmp_path / "b"))


def test_other_formats_are_refused(quantized: Callable[..., Path], tmp_path: Path) -> None:
    source = quantized(form=QuantFormat.QOperator)
    with pytest.raises(ConversionError, match=r"computes with integers.*QuantFormat\.QDQ"):
        convert(request(source, tmp_path / "b", precisions=("fp32",)))
    dynamic = tmp_path / "dynamic.onnx"
    quantize_dynamic(quantized().with_name("float.onnx"), dynamic)
    with pytest.raises(ConversionError, match="quantize statically"):
        convert(request(dynamic, tmp_path / "b", precisions=("fp32",)))


def test_a_model_of_which_nothing_can_be_int8(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", 1, SHAPE)],
        [helper.make_tensor_value_info("y", 1, SHAPE)],
        [numpy_helper.from_array(np.float32(0.1), "s"), numpy_helper.from_array(np.int8(0), "z")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "relu.onnx")
    with pytest.raises(ConversionError, match="no layer of the QDQ model can be int8"):
        convert(request(tmp_path / "relu.onnx", tmp_path / "b"))
