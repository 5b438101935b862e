"""No model that crashes, hangs or computes something else gets into a bundle, nor takes this process along."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mobiledeploy.convert import check, convert, pipeline, variants
from mobiledeploy.convert.variants import build_graph
from mobiledeploy.errors import ConversionError
from mobiledeploy.source.reference import open_session, relative_error
from mobiledeploy.source.reference import run as run_onnx
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.isolated import IsolatedRuntime
from ncnn_tools.quantization import quantize
from ncnn_tools.runtime import Runtime, RuntimeOptions

Fault = Callable[[Graph], None]


def _crash(graph: Graph) -> None:
    """Let the last layer's input come from a Slice that reads far beyond the end."""
    last = graph.layers[-1]
    graph.layers.insert(-1, new_layer("Slice", "bad", [last.inputs[0]], ["bad"], slices=(100_000,)))
    last.inputs[0] = "bad"


def _hang(graph: Graph) -> None:
    last = graph.layers[-1]
    window = {"pooling_type": 1, "kernel_w": 301, "pad_left": 1150, "avgpool_count_include_pad": 1}
    graph.layers.insert(-1, new_layer("Pooling", "bad", [last.inputs[0]], ["bad"], **window))
    last.inputs[0] = "bad"


def _compute_wrongly(graph: Graph) -> None:
    head = next(layer for layer in graph.layers if "weight" in layer.weights)
    head.set_weight("weight", head.weights["weight"].values() * np.float32(1.01))


def _change_shape(graph: Graph) -> None:
    last = graph.layers[-1]
    graph.layers.insert(-1, new_layer("Pooling", "bad", [last.inputs[0]], ["bad"], kernel_w=2, stride_w=2))
    last.inputs[0] = "bad"


@pytest.fixture
def from_onnx(request_for, tiny_bundle, tmp_path: Path):
    """Make a request for the small network from its ONNX file."""
    shutil.copy(tiny_bundle.onnx, tmp_path / "net.onnx")
    source = {"source": tmp_path / "net.onnx", "model": None, "input_shapes": None, "output_names": None}
    return lambda **changes: request_for(tmp_path / "b", **(source | changes))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fault], None]:
    """Let the converter make a faulty graph, and give ncnn two seconds for it."""

    def stage(fault: Fault) -> None:
        def faulty(model: onnx.ModelProto) -> Graph:
            graph = build_graph(model)
            fault(graph)
            return graph

        monkeypatch.setattr(variants, "build_graph", faulty)
        monkeypatch.setattr(pipeline, "IsolatedRuntime", functools.partial(IsolatedRuntime, time_limit_s=2))

    return stage


@pytest.mark.parametrize("precisions", [("fp32",), ("fp16",), ("int8",)])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_crash, r"can't run the \w+ model: ncnn was ended by SIGSEGV"),
        (_hang, r"can't run the \w+ model: ncnn took longer than 2 s"),
        (_change_shape, r"\w+ model does not work"),
    ],
)
def test_a_model_that_does_not_run_leaves_nothing(
    from_onnx, stage, tmp_path: Path, fault: Fault, message: str, precisions: tuple[str, ...]
) -> None:
    """Calibration for int8 runs the model in this process: not before it has run in the other one."""
    stage(fault)
    with pytest.raises(ConversionError, match=message) as caught:
        convert(from_onnx(precisions=precisions))
    assert caught.value.exit_code == 4
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize("precisions", [("fp32",), ("int8",)])
def test_a_model_that_computes_something_else_leaves_nothing(
    from_onnx, stage, tmp_path: Path, precisions: tuple[str, ...]
) -> None:
    stage(_compute_wrongly)
    with pytest.raises(ConversionError, match=r"fp32 model differs from onnxruntime by 0\.\d+"):
        convert(from_onnx(precisions=precisions))
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_an_older_bundle_stays(from_onnx, stage, tiny_bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    stage(_crash)
    with pytest.raises(ConversionError):
        convert(from_onnx())
    assert json.loads((tmp_path / "b" / "manifest.json").read_text()) == tiny_bundle.manifest
    assert {path.name for path in tmp_path.iterdir()} == {"b", "net.onnx"}


def test_int8_that_is_not_finite_is_refused(from_onnx, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(graph: Graph, thresholds: dict[str, float], *_: object) -> Graph:
        result = quantize(graph, thresholds)
        layer = [layer for layer in result.layers if "weight_scales" in layer.weights][-1]
        layer.set_weight("bias", np.full(layer.weights["bias"].data.size, np.nan))
        return result

    monkeypatch.setattr("mobiledeploy.convert.int8.quantize", overflow)
    with pytest.raises(ConversionError, match="of the int8 model is not finite"):
        convert(from_onnx())


@pytest.fixture
def from_convolution(request_for, tmp_path: Path):
    """Make a request for one 3x3 convolution of 32 channels, with weights of a standard deviation of `scale`."""

    def make(scale: float):
        values = np.random.default_rng(0).normal(0, scale, (32, 32, 3, 3)).astype(np.float32)
        graph = helper.make_graph(
            [helper.make_node("Conv", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32, 26, 26])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32, 24, 24])],
            [helper.make_tensor("w", TensorProto.FLOAT, values.shape, values.reshape(-1))],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, tmp_path / "net.onnx")
        changes = {"model": None, "input_shapes": None, "output_names": None, "preprocessing": None}
        changes |= {"source": tmp_path / "net.onnx", "mask": None, "calibration": None}
        return request_for(tmp_path / "b", precisions=("fp32",), **changes)

    return make


def test_a_large_output_is_judged_by_its_size(from_convolution) -> None:
    """A difference in the last bits of 10 000 is more than 1e-4, and no fault."""
    bundle, _ = convert(from_convolution(1000.0))
    assert bundle.variants["fp32"].parity["outputs"]["y"]["max_abs"] > 1e-4


def error_of(bundle, *, winograd: bool) -> float:
    fp32, x = bundle.variant("fp32"), np.load(bundle.samples()["x"])
    runtime = Runtime(fp32.param, fp32.bin, RuntimeOptions(winograd=winograd))
    session = open_session(bundle.onnx)
    expected = [run_onnx(session, {"x": x[i : i + 1]})["y"][0] for i in range(len(x))]
    actual = [runtime.run({"x": sample}, ["y"])["y"] for sample in x]
    return relative_error(np.stack(actual), np.stack(expected))


def test_more_rounding_by_winograd_is_no_fault(from_convolution, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds are moved around the errors that this convolution has with winograd and without."""
    bundle, _ = convert(from_convolution(1.0))
    rounded, exact = (error_of(bundle, winograd=winograd) for winograd in (True, False))
    if rounded < 1.5 * exact:
        pytest.skip("winograd rounds no more than other convolutions on this computer")
    for within, beyond, message in (
        ((rounded + exact) / 2, 2 * rounded, ""),
        (0.9 * exact, 2 * rounded, "differs from onnxruntime"),
        ((rounded + exact) / 2, 0.9 * rounded, "differs from onnxruntime"),
    ):
        monkeypatch.setattr(check, "FP32_TOLERANCE", within)
        monkeypatch.setattr(check, "WINOGRAD_TOLERANCE", beyond)
        shutil.rmtree(bundle.path, ignore_errors=True)
        with pytest.raises(ConversionError, match=message) if message else contextlib.nullcontext():
            convert(from_convolution(1.0))
