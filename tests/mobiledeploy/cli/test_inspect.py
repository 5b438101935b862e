from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

LEFTOVER = """7767517
2 2
Input in0 0 1 in0 0=8 1=8 2=4
torch.unbind unbind_7 1 1 in0 out0 dim=0
"""


def rows(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


@pytest.fixture
def dynamic(tmp_path: Path) -> Path:
    """An ONNX file that leaves its height and width open, with its weights in a file beside it."""
    shape = [1, 3, "height", "width"]
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    weight = onnx.numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, "h", "w"])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = tmp_path / "dynamic.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    return path


def test_a_bundle_is_a_row_for_each_variant(command, tiny_bundle) -> None:
    outcome = command("inspect", tiny_bundle.path, "--format", "csv")
    assert outcome.code == 0, outcome.err
    found = {row["precision"]: row for row in rows(outcome.out)}
    assert list(found) == ["fp32", "fp16", "int8"]
    assert len({row["parameters"] for row in found.values()}) == 1
    sizes = {name: variant.size_bytes for name, variant in tiny_bundle.variants.items()}
    assert {name: row["files (M)"] for name, row in found.items()} == {
        name: f"{size / 1e6:.2f}" for name, size in sizes.items()
    }
    assert found["fp32"]["int8 layers"] == "0"
    assert found["int8"]["int8 layers"] == str(len(tiny_bundle.manifest["variants"]["int8"]["int8_layers"]))
    assert 20 < float(found["int8"]["MMAC in int8 (%)"]) < 30  # all but the layer that reads the picture


def test_one_variant_is_a_row_for_each_layer(command, tiny_bundle) -> None:
    outcome = command("inspect", tiny_bundle.path, "--precision", "int8", "--format", "csv")
    found = rows(outcome.out)
    assert len(found) == sum(tiny_bundle.variants["int8"].layers.values()) + 1
    head = next(row for row in found if row["type"] == "Convolution")
    assert (head["input"], head["output"]) == ("3x32x32", "12x16x16")
    assert (head["parameters"], head["stored"], head["int8"]) == (str(12 * 27 + 12), "fp16", "yes")
    depthwise = next(row for row in found if row["type"] == "ConvolutionDepthWise")
    assert (depthwise["stored"], depthwise["int8"]) == ("int8", "yes")
    assert found[-1]["layer"] == "sum"
    assert "Activations take at most" in outcome.err


def test_by_type_in_markdown(command, tiny_bundle) -> None:
    outcome = command("inspect", tiny_bundle.path, "--precision", "fp16", "--by-type", "--format", "markdown")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("| type | layers | parameters | MMAC | share (%) |")
    assert lines[2].startswith("| Convolution | 2 |")
    shares = [
        float(line.split("|")[5]) for line in lines[2:] if line.startswith("|") and line.split("|")[5].strip()
    ]
    assert sum(shares) == pytest.approx(100, abs=0.5)


def test_json_is_the_document_and_nothing_else(command, tiny_bundle) -> None:
    whole = json.loads(command("inspect", tiny_bundle.path, "--format", "json").out)
    assert whole["kind"] == "bundle"
    fp32 = json.loads(command("inspect", tiny_bundle.path, "--precision", "fp32", "--format", "json").out)
    assert whole["variants"]["fp32"] == fp32
    assert fp32["totals"]["weight_bytes"] == tiny_bundle.variants["fp32"].bin.stat().st_size
    assert sum(layer["macs"] for layer in fp32["layers"]) == fp32["totals"]["macs"]


def test_an_onnx_file(command, tiny_bundle) -> None:
    outcome = command("inspect", tiny_bundle.onnx, "--format", "csv")
    assert outcome.code == 0, outcome.err
    found = rows(outcome.out)
    model = onnx.load(tiny_bundle.onnx)
    assert [row["type"] for row in found[:-1]] == [node.op_type for node in model.graph.node]
    assert "fp16" not in found[0]
    fp32 = json.loads(command("inspect", tiny_bundle.path, "--precision", "fp32", "--format", "json").out)
    assert found[-1]["MMAC"] == f"{fp32['totals']['macs'] / 1e6:.2f}"


def test_open_sizes_are_asked_for(command, dynamic: Path) -> None:
    outcome = command("inspect", dynamic)
    assert outcome.code == 2
    assert "--input-shape" in outcome.err
    outcome = command("inspect", dynamic, "--input-shape", "1x3x10x12", "--format", "json")
    document = json.loads(outcome.out)
    [layer] = document["layers"]
    assert layer["outputs"] == [{"name": "y", "shape": [1, 8, 8, 10]}]
    assert layer["macs"] == 216 * 80
    assert document["file_bytes"] == dynamic.stat().st_size + 864  # with the weights beside it


def test_open_sizes_of_a_param(command, tmp_path: Path) -> None:
    param = tmp_path / "m.param"
    param.write_text("7767517\n2 2\nInput x 0 1 x\nPooling p 1 1 x y 0=0 1=2 2=2\n")
    outcome = command("inspect", param)
    assert outcome.code == 2
    assert "--input-shape" in outcome.err
    outcome = command("inspect", param, "--input-shape", "1x3x10x12", "--format", "csv")
    assert [row["output"] for row in rows(outcome.out)[:-1]] == ["3x10x12", "3x5x6"]
    for shape, message in (("3x10x12", "batch of 1"), ("1x3x10x12x4x5", "one to four axes")):
        outcome = command("inspect", param, "--input-shape", shape)
        assert outcome.code == 2
        assert message in outcome.err


def test_layers_that_ncnn_does_not_have_fail_after_the_table(command, tmp_path: Path) -> None:
    param = tmp_path / "m.param"
    param.write_text(LEFTOVER)
    outcome = command("inspect", param)
    assert outcome.code == 1
    assert "torch.unbind (not in ncnn)" in outcome.out
    assert "4x8x8" in outcome.out
    assert "ncnn has no such layer: 'torch.unbind' ('unbind_7')" in outcome.err


def test_names_that_a_terminal_or_a_page_would_act_on(command, tmp_path: Path) -> None:
    param = tmp_path / "m.param"
    param.write_text("7767517\n2 2\nInput x 0 1 x 0=4\nReLU \x1b[2J<b>|![](u) 1 1 x y\n")
    assert "\x1b" not in command("inspect", param).out
    markdown = command("inspect", param, "--format", "markdown").out
    assert "\x1b" not in markdown
    assert "![](" not in markdown
    assert "<b>" not in markdown


def test_passes(command, tiny_bundle) -> None:
    outcome = command("inspect", "--passes", "--format", "csv")
    assert outcome.code == 0
    names = [row["pass"] for row in rows(outcome.out)]
    assert "fuse_activations" in names
    for model in (tiny_bundle.path, tiny_bundle.onnx):
        found = rows(command("inspect", "--passes", model, "--format", "csv").out)
        assert [row["pass"] for row in found] == names
        applied = {row["pass"]: int(row["applied"]) for row in found}
        splits = tiny_bundle.variants["fp32"].layers["Split"]
        assert applied["insert_splits"] == splits
        assert applied["fuse_activations"] >= 1


def test_bad_requests(command, tiny_bundle, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"?")
    (tmp_path / "m.param").write_bytes(bytes(range(256)))
    truncated = tmp_path / "fp32.param"
    truncated.write_bytes(tiny_bundle.variants["fp32"].param.read_bytes())
    truncated.with_suffix(".bin").write_bytes(tiny_bundle.variants["fp32"].bin.read_bytes()[:-5])
    for code, message, *arguments in (
        (2, "no model to inspect"),
        (2, "no such file", tmp_path / "nowhere.param"),
        (2, "no such file", tmp_path / "nowhere.onnx"),
        (2, "not a bundle", tmp_path),
        (2, "not a model that can be inspected", tmp_path / "net.pth"),
        (2, "not text", tmp_path / "m.param"),
        (2, "fp32.bin: offset", truncated),
        (2, "--precision chooses variants", truncated, "--precision", "fp32"),
        (2, "about one variant", tiny_bundle.path, "--by-type"),
        (2, "is not a shape", tiny_bundle.path, "--input-shape", "big"),
        (2, "3x32x32 in the file", tiny_bundle.path, "--input-shape", "1x3x8x8"),
        (2, "2 input shapes given", tiny_bundle.path, "--input-shape", "1x3x8x8", "--input-shape", "1x1"),
        (2, "passes apply when", truncated, "--passes"),
        (2, "--passes is about", tiny_bundle.path, "--passes", "--by-type"),
        (2, "is not a list", tiny_bundle.path, "--precision", "fp8"),
        (2, "--plan is about", tiny_bundle.path, "--plan", "--by-type"),
        (2, "can't be read", tiny_bundle.path, "--plan"),
    ):
        outcome = command("inspect", *arguments)
        assert (outcome.code, "Traceback" in outcome.err) == (code, False), arguments
        assert message in outcome.err, arguments


def test_a_model_that_cannot_be_converted_names_its_operator(command, tmp_path: Path) -> None:
    node = helper.make_node("Det", ["x"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in
              (("x", [1, 3, 3]), ("y", [1]))]  # fmt: skip
    model = helper.make_model(
        helper.make_graph([node], "g", values[:1], values[1:]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    onnx.save_model(model, tmp_path / "m.onnx")
    outcome = command("inspect", "--passes", tmp_path / "m.onnx")
    assert outcome.code == 4
    assert "Det" in outcome.err
    assert command("inspect", tmp_path / "m.onnx").code == 0
