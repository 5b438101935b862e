"""Networks that fp16 breaks, and what becomes of them; tests/mobiledeploy/diff/test_device.py runs one on a phone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobiledeploy.bundle import Bundle
from mobiledeploy.convert import ConvertRequest, convert
from mobiledeploy.report.bundle_table import footnotes
from ncnn_tools.files import load
from ncnn_tools.graph import Storage

SHAPE = (1, 8, 16, 16)


@pytest.fixture
def converted(tmp_path: Path) -> Callable[[Sequence[float]], Bundle]:
    """Convert a chain of 3x3 convolutions with ReLUs, each of which makes values so many times larger."""

    def make(gains: Sequence[float]) -> Bundle:
        random = np.random.default_rng(0)
        nodes, weights = [], []
        for number, gain in enumerate(gains):
            kernel = random.normal(0, gain * 72**-0.5, (8, 8, 3, 3)).astype(np.float32)
            weights.append(numpy_helper.from_array(kernel, f"w{number}"))
            source, target = (f"r{number - 1}" if number else "x"), f"c{number}"
            nodes.append(helper.make_node("Conv", [source, f"w{number}"], [target], pads=[1, 1, 1, 1]))
            nodes.append(helper.make_node("Relu", [target], [f"r{number}"]))
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE)
            for name in ("x", f"r{len(gains) - 1}")
        ]
        graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, tmp_path / "net.onnx")
        (tmp_path / "inputs").mkdir()
        for number in range(8):
            np.save(tmp_path / "inputs" / f"{number}.npy", random.normal(0, 1, SHAPE).astype(np.float32))
        request = ConvertRequest(
            tmp_path / "net.onnx",
            tmp_path / "b",
            "net",
            ("fp32", "fp16", "int8"),
            calibration=tmp_path / "inputs",
        )
        return convert(request)[0]

    return make


def masks(bundle: Bundle, precision: str) -> list[tuple[str, int]]:
    variant = bundle.variant(precision)
    return [(layer.type, layer.feature_mask & 3) for layer in load(variant.param, variant.bin).layers[1:]]


def test_layers_beyond_fp16_are_kept_in_fp32(converted: Callable[[Sequence[float]], Bundle]) -> None:
    bundle = converted([1, 1e5, 1e-5, 1])
    assert masks(bundle, "fp32") == [("Convolution", 0)] * 4
    kept = [("Convolution", 0), ("Dropout", 0), ("Convolution", 3), ("Convolution", 3), ("Convolution", 0)]
    assert masks(bundle, "fp16") == kept
    # From the convolution before it comes int8, which fp16 has no part in.
    assert masks(bundle, "int8") == [entry for entry in kept if entry[0] != "Dropout"]
    for precision in ("fp16", "int8"):
        layers = bundle.manifest["variants"][precision]["fp32_layers"]
        assert [layer["storage"] for layer in layers] == ["fp32", "fp32"]
        assert all(layer["reason"].startswith("blob 'r1' reaches ") for layer in layers)
    assert bundle.manifest["variants"]["fp32"]["fp32_layers"] == []
    variant = bundle.variant("fp16")
    graph = load(variant.param, variant.bin)
    stored = [layer.weights["weight"].storage for layer in graph.layers if layer.type == "Convolution"]
    assert stored == [Storage.FP16, Storage.FP32, Storage.FP32, Storage.FP16]
    note = footnotes(bundle)[0]
    assert note.startswith("fp16, int8: 2 layers compute in fp32 on phones too, as fp16 breaks them: ")
    assert "and fp16 ends at 65504), " in note


def test_a_sound_network_is_as_it_was(tiny_bundle: Bundle) -> None:
    for precision in ("fp16", "int8"):
        assert tiny_bundle.manifest["variants"][precision]["fp32_layers"] == []
        assert {bits for _, bits in masks(tiny_bundle, precision)} == {0}
    assert all(note.startswith(("int8:", "Warning:")) for note in footnotes(tiny_bundle))


def test_a_note_names_a_few(converted: Callable[[Sequence[float]], Bundle]) -> None:
    bundle = converted([1e5, 1, 1, 1, 1e-5])
    (note, *_) = footnotes(bundle)
    assert "5 layers compute" in note
    assert note.endswith(", and 2 more (manifest.json has them).")
