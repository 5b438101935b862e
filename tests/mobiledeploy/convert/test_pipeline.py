from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from mobiledeploy.convert import convert
from mobiledeploy.convert.check import FP32_TOLERANCE
from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.report.bundle_table import bundle_table, footnotes
from mobiledeploy.source.reference import open_session
from mobiledeploy.source.reference import run as run_onnx
from ncnn_tools.calibration import read_calibration, threshold
from ncnn_tools.files import load
from ncnn_tools.runtime import Runtime


class Steps:
    """Notes the steps of a conversion, and may stop it at one."""

    def __init__(self, stop_at: str = "") -> None:
        self.seen: list[str] = []
        self.stop_at = stop_at

    def __call__(self, step: str, _done: int, _total: int) -> None:
        self.seen.append(step)
        if self.stop_at and step.startswith(self.stop_at):
            raise KeyboardInterrupt


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_bundle_computes_what_onnxruntime_computes(tiny_bundle) -> None:
    samples = np.load(tiny_bundle.samples()["picture"])
    expected = run_onnx(open_session(tiny_bundle.onnx), {"picture": samples[:1]})
    for precision, tolerance in (("fp32", FP32_TOLERANCE), ("fp16", 1e-2), ("int8", 0.2)):
        variant = tiny_bundle.variant(precision)
        actual = Runtime(variant.param, variant.bin).run({"picture": samples[0]}, ["seg", "alpha"])
        for name in ("seg", "alpha"):
            np.testing.assert_allclose(actual[name][None], expected[name], atol=tolerance)


def test_the_manifest_says_how_right_each_variant_is(tiny_bundle) -> None:
    parity = {precision: variant.parity for precision, variant in tiny_bundle.variants.items()}
    assert parity["fp32"]["outputs"]["seg"]["max_abs"] <= FP32_TOLERANCE
    assert parity["fp32"]["mask_iou"] == pytest.approx(1, abs=1e-3)
    assert parity["int8"]["outputs"]["seg"]["max_abs"] > parity["fp32"]["outputs"]["seg"]["max_abs"]
    assert tiny_bundle.manifest["onnx"]["torch_relative_error"] <= 1e-4


def test_precisions_are_what_they_say(tiny_bundle) -> None:
    sizes = {precision: variant.bin.stat().st_size for precision, variant in tiny_bundle.variants.items()}
    assert sizes["int8"] < sizes["fp16"] < sizes["fp32"]
    graph = load(tiny_bundle.variant("int8").param, tiny_bundle.variant("int8").bin)
    int8_layers = [layer.name for layer in graph.layers if "weight_scales" in layer.weights]
    assert int8_layers == tiny_bundle.manifest["variants"]["int8"]["int8_layers"]
    assert len(int8_layers) == 2  # all but the one that reads the picture


def test_every_blob_knows_its_onnx_tensor(tiny_bundle) -> None:
    graph = load(tiny_bundle.variant("fp32").param, tiny_bundle.variant("fp32").bin)
    assert set(tiny_bundle.manifest["blobs"]) == set(graph.blobs())


def test_converting_again_does_nothing(request_for, tmp_path: Path) -> None:
    request = request_for(tmp_path / "b", precisions=("fp32",), calibration=None)
    _, made = convert(request)
    inode = (tmp_path / "b" / "fp32.bin").stat().st_ino
    steps = Steps()
    _, made_again = convert(request, steps)
    assert (made, made_again) == (True, False)
    assert steps.seen == []
    assert (tmp_path / "b" / "fp32.bin").stat().st_ino == inode


def test_another_calibration_method_redoes_int8_alone(request_for, tiny_bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    steps = Steps()
    bundle, made = convert(request_for(tmp_path / "b", method="kl"), steps)
    assert made
    assert "writing int8" in steps.seen
    assert not {"exporting to ONNX", "writing fp32", "writing fp16", "calibrating"} & set(steps.seen)
    assert bundle.manifest["calibration"]["method"] == "kl"
    assert bundle.manifest["variants"]["fp32"] == tiny_bundle.manifest["variants"]["fp32"]


def test_calibration_statistics_travel_in_the_bundle(request_for, tiny_bundle, tmp_path: Path) -> None:
    facts = tiny_bundle.manifest["calibration"]
    assert facts["file"] in tiny_bundle.manifest["files"]
    statistics = read_calibration(tiny_bundle.path / facts["file"])
    graph = load(tiny_bundle.variant("int8").param, tiny_bundle.variant("int8").bin)
    scales = {
        layer.inputs[0]: layer.weights["input_scale"].values()[0]
        for layer in graph.layers
        if "input_scale" in layer.weights
    }
    assert set(scales) == set(statistics.blobs) - {"picture"}
    centered = tiny_bundle.manifest["variants"]["int8"]["centered"]
    for blob, scale in scales.items():
        clipped = threshold(statistics[blob], facts["method"]) if blob not in centered else centered[blob]
        assert scale == pytest.approx(127 / clipped, rel=1e-6)
    for blob, offset in centered.items():
        assert offset == pytest.approx(threshold(statistics[blob], facts["method"], 254) / 2, rel=1e-6)
    other, _ = convert(request_for(tmp_path / "b", precisions=("fp16", "int8")))
    assert other.manifest["calibration"] == facts


def test_statistics_of_other_pictures_are_taken_anew(
    request_for, workshop: Path, tiny_bundle, tmp_path: Path
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    shutil.copytree(workshop / "pictures", tmp_path / "pictures")
    shutil.copy(tmp_path / "pictures" / "picture0.png", tmp_path / "pictures" / "twin.png")
    steps = Steps()
    bundle, _ = convert(request_for(tmp_path / "b", calibration=tmp_path / "pictures"), steps)
    assert "calibrating" in steps.seen
    assert bundle.manifest["calibration"]["images"] == tiny_bundle.manifest["calibration"]["images"] + 1
    assert any("twin.png" in note for note in footnotes(bundle))


def test_untrained_weights_are_said_to_be_and_nothing_is_redone(
    request_for, tiny_bundle, tmp_path: Path
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    steps = Steps()
    bundle, made = convert(request_for(tmp_path / "b", untrained=True), steps)
    assert made
    assert not [step for step in steps.seen if step.startswith(("loading", "writing"))]
    assert (tiny_bundle.untrained, bundle.untrained) == (False, True)
    assert "mask IoU" in bundle_table(tiny_bundle)[0]
    assert "mask IoU" not in bundle_table(bundle)[0]


def test_a_changed_network_is_converted_again(request_for, workshop: Path, tmp_path: Path) -> None:
    network = tmp_path / "net.py"
    shutil.copy(workshop / "net.py", network)
    request = request_for(tmp_path / "b", model=f"{network}:Tiny", precisions=("fp32",), calibration=None)
    first, _ = convert(request)
    network.write_text(network.read_text().replace("torch.sigmoid(seg", "1 - torch.sigmoid(seg"))
    second, made = convert(request)
    assert made
    assert first.manifest["files"]["fp32.param"] != second.manifest["files"]["fp32.param"]


@pytest.mark.parametrize(
    "step", ["loading", "simplifying", "preparing", "writing fp32", "calibrating", "comparing int8"]
)
def test_an_interrupt_leaves_nothing(request_for, tmp_path: Path, step: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(tmp_path / "b"), Steps(stop_at=step))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_the_older_bundle(request_for, tiny_bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        convert(request_for(tmp_path / "b", method="kl"), Steps(stop_at="writing int8"))
    assert json.loads((tmp_path / "b" / "manifest.json").read_text()) == tiny_bundle.manifest
    assert names_in(tmp_path) == ["b"]


def test_an_onnx_file_is_a_source_too(request_for, tiny_bundle, tmp_path: Path) -> None:
    shutil.copy(tiny_bundle.onnx, tmp_path / "net.onnx")
    request = request_for(
        tmp_path / "b", source=tmp_path / "net.onnx", model=None, input_shapes=None, output_names=None
    )
    bundle, _ = convert(request)
    assert bundle.variants["int8"].parity == tiny_bundle.variants["int8"].parity


def test_a_folder_without_pictures_is_refused_before_any_work(request_for, tmp_path: Path) -> None:
    steps = Steps()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no pictures there"):
        convert(request_for(tmp_path / "b", calibration=tmp_path / "empty"), steps)
    assert steps.seen == []


def test_an_activation_makes_the_mask_from_logits(request_for, tmp_path: Path) -> None:
    """alpha of the small network is the softmax of seg, so both make the same mask."""
    changes = {"mask": "seg", "mask_activation": "softmax", "precisions": ("fp16",), "calibration": None}
    bundle, _ = convert(request_for(tmp_path / "b", **changes))
    assert bundle.manifest["mask_activation"] == "softmax"
    outputs = run_onnx(open_session(bundle.onnx), {"picture": np.load(bundle.samples()["picture"])[:1]})
    np.testing.assert_allclose(bundle.matte.alpha(outputs), outputs["alpha"][:, 0], atol=1e-6)
    other, made = convert(request_for(tmp_path / "b", **changes | {"mask": "alpha", "mask_activation": None}))
    assert made
    assert other.manifest["mask_activation"] == "none"


def test_noise_takes_the_place_of_pictures_and_says_so(request_for, tmp_path: Path) -> None:
    bundle, _ = convert(request_for(tmp_path / "b", precisions=("fp32",), calibration=None))
    assert bundle.manifest["samples"] == {"source": "noise", "images": 0}
    assert np.load(bundle.samples()["picture"]).shape == (4, 3, 32, 32)


def save_onnx(path: Path, *nodes: onnx.NodeProto, source: str = "x") -> Path:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_an_unsupported_operator_is_named_and_nothing_written(request_for, tmp_path: Path) -> None:
    source = save_onnx(tmp_path / "net.onnx", helper.make_node("RandomNormalLike", ["x"], ["y"], name="odd"))
    changes = {"model": None, "input_shapes": None, "preprocessing": None, "calibration": None, "mask": None}
    request = request_for(tmp_path / "b", source=source, precisions=("fp32",), **changes)
    with pytest.raises(ConversionError, match=r"'odd'.*RandomNormalLike"):
        convert(request)
    assert names_in(tmp_path) == ["net.onnx"]


@pytest.mark.parametrize("name", ["serving/picture:0", "../../picture"])
def test_an_input_may_be_called_what_is_no_file_name(request_for, tmp_path: Path, name: str) -> None:
    source = save_onnx(tmp_path / "net.onnx", helper.make_node("Relu", [name], ["y"]), source=name)
    changes = {"model": None, "input_shapes": None, "preprocessing": None, "calibration": None, "mask": None}
    request = request_for(tmp_path / "b", source=source, precisions=("fp32",), **changes)
    bundle, _ = convert(request)
    assert np.load(bundle.samples()[name]).shape == (4, 3, 8, 8)
    assert sorted(names_in(tmp_path)) == ["b", "net.onnx"]
    assert len(names_in(bundle.path / "samples")) == 1


def test_weights_that_are_not_finite_are_refused(request_for, workshop: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(workshop / "net.pth", weights_only=True)
    checkpoint["state_dict"]["head.0.weight"][0] = float("nan")
    torch.save(checkpoint, tmp_path / "nan.pth")
    with pytest.raises(ConversionError):
        convert(request_for(tmp_path / "b", source=tmp_path / "nan.pth"))
    assert names_in(tmp_path) == ["nan.pth"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": Path("nowhere.pth")}, "no such file"),
        ({"model": None}, "network is needed"),
        ({"model": "nowhere.py:Tiny", "input_shapes": None}, r"nowhere\.py: no such file"),
        ({"input_shapes": None}, "input shape"),
        ({"calibration": None}, "calibrate"),
        ({"calibration": Path("nowhere")}, "no such folder"),
        ({"method": "eq"}, "absmax, percentile, kl, mse, cosine"),
        ({"mask": "beta"}, "no output 'beta'"),
        ({"mask": "seg"}, "output 'seg' has shape 1x2x32x32"),
        ({"mask_activation": "relu"}, "none, sigmoid, softmax"),
        ({"input_shapes": ((1, 3, 48, 32),)}, "preprocessing"),
        ({"preprocessing": None}, "how does this picture"),
    ],
)
def test_requests_that_cannot_be_met(request_for, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        convert(request_for(tmp_path / "b", **changes))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_does_not_fit_lists_its_keys(request_for, workshop: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(workshop / "net.pth", weights_only=True)
    checkpoint["state_dict"]["tail.weight"] = checkpoint["state_dict"].pop("head.0.weight")
    torch.save(checkpoint, tmp_path / "other.pth")
    with pytest.raises(ConversionError, match=r"(?s)head\.0\.weight.*tail\.weight"):
        convert(request_for(tmp_path / "b", source=tmp_path / "other.pth"))


SHARED = Path(__file__).resolve().parents[3] / "../shared/data/erd_seg_matting"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the trained checkpoint with golden outputs is not there")
def test_a_trained_checkpoint_reproduces_its_golden_outputs(tmp_path: Path) -> None:
    """End to end: checkpoint → ONNX → ncnn files → outputs, for the picture that the golden outputs are of."""
    from mobiledeploy.convert import ConvertRequest
    from mobiledeploy.preprocessing import Preprocessing

    networks = Path(__file__).resolve().parents[3] / "models"
    preprocessing = Preprocessing.from_toml(networks / "seg_matting.toml", (256, 256))
    request = ConvertRequest(
        source=SHARED / "ckpt_lastest.pth",
        output=tmp_path / "b",
        name="erd",
        precisions=("fp32",),
        model=f"{networks / 'seg_matting.py'}:SegMatting",
        input_shapes=((1, 3, 256, 256),),
        output_names=("seg", "alpha"),
        preprocessing=preprocessing,
    )
    bundle, _ = convert(request)
    golden = np.load(SHARED / "golden.npz")
    fp32 = bundle.variant("fp32")
    picture = preprocessing.load(SHARED / "golden_input.png")
    outputs = Runtime(fp32.param, fp32.bin).run({bundle.inputs[0].blob: picture[0]}, ["seg", "alpha"])
    for name in ("seg", "alpha"):
        np.testing.assert_allclose(outputs[name], golden[name].reshape(outputs[name].shape), atol=1e-3)
