"""The measured figures against what onnxruntime, ncnn and the metrics say by themselves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import ncnn
import numpy as np
import onnxruntime
import pytest

from mobiledeploy.errors import CheckFailedError, UsageError
from mobiledeploy.matte import Matte
from mobiledeploy.metrics.clip import flicker
from mobiledeploy.metrics.matting import mean_error
from mobiledeploy.verify import Pictures, folder_pictures, sample_pictures, verify
from mobiledeploy.verify.pictures import Picture


@pytest.fixture(scope="module")
def result(tiny_bundle, labelled: Path):
    return verify(tiny_bundle, folder_pictures(tiny_bundle, labelled), clip=True)


@pytest.fixture(scope="module")
def by_hand(tiny_bundle, labelled: Path) -> dict[str, list[np.ndarray]]:
    """The mattes of all pictures from onnxruntime ("onnx") and from the ncnn wheel ("int8"), and the known truths."""
    session = onnxruntime.InferenceSession(tiny_bundle.onnx, providers=["CPUExecutionProvider"])
    net = ncnn.Net()
    net.opt.lightmode = False
    net.load_param(str(tiny_bundle.variant("int8").param))
    net.load_model(str(tiny_bundle.variant("int8").bin))
    mattes: dict[str, list[np.ndarray]] = {"onnx": [], "int8": [], "truth": []}
    for item in folder_pictures(tiny_bundle, labelled).items:
        values = item.inputs["picture"]
        mattes["onnx"].append(session.run(["alpha"], {"picture": values})[0][0, 0])
        extractor = net.create_extractor()
        extractor.input(tiny_bundle.inputs[0].blob, ncnn.Mat(values[0]).clone())
        _, mat = extractor.extract(tiny_bundle.outputs[1].blob)
        mattes["int8"].append(np.array(mat)[0])
        if item.truth is not None:
            mattes["truth"].append(item.truth)
    return mattes


def variant(result, precision: str):
    return next(entry for entry in result.variants if entry.precision == precision)


def test_every_variant_and_the_reference_are_judged(result) -> None:
    assert [entry.precision for entry in result.variants] == ["onnx", "fp32", "fp16", "int8"]
    for entry in result.variants:
        assert [picture.picture for picture in entry.pictures] == ["frame1.png", "frame2.png", "frame10.png"]
        assert len(entry.against("truth")) == 2
    assert variant(result, "onnx").against("onnx") == []
    assert len(variant(result, "int8").against("onnx")) == 3


def test_the_figures_are_those_of_the_metrics(result, by_hand) -> None:
    int8 = variant(result, "int8").pictures
    for number, entry in enumerate(int8):
        expected = mean_error(by_hand["int8"][number], by_hand["onnx"][number])
        assert entry.against_onnx.mae == pytest.approx(expected, rel=1e-5)
        worst = np.abs(by_hand["int8"][number] - by_hand["onnx"][number]).max()
        assert entry.outputs["alpha"].max_abs == pytest.approx(worst, rel=1e-5)
    truth = mean_error(by_hand["int8"][1], by_hand["truth"][1])
    assert int8[1].against_truth.mae == pytest.approx(truth, rel=1e-5)


def test_a_clip_has_the_flicker_from_frame_to_frame(result, by_hand) -> None:
    int8 = variant(result, "int8").pictures
    assert int8[0].against_onnx.flicker is None
    expected = flicker(*by_hand["int8"][:2], *by_hand["onnx"][:2])
    assert int8[1].against_onnx.flicker == pytest.approx(expected, rel=1e-5)
    expected = flicker(*by_hand["int8"][:2], *by_hand["truth"][:2])
    assert int8[1].against_truth.flicker == pytest.approx(expected, rel=1e-5)


def test_pictures_that_are_no_clip_have_no_flicker(tiny_bundle, labelled: Path) -> None:
    result = verify(tiny_bundle, folder_pictures(tiny_bundle, labelled), precisions=["fp16"])
    assert [entry.precision for entry in result.variants] == ["onnx", "fp16"]
    assert all(figures.flicker is None for _, figures in variant(result, "fp16").against("onnx"))


def test_the_samples_have_no_truth_and_fp32_is_exact_on_them(tiny_bundle) -> None:
    result = verify(tiny_bundle, sample_pictures(tiny_bundle))
    assert [entry.precision for entry in result.variants] == ["fp32", "fp16", "int8"]
    for entry in variant(result, "fp32").pictures:
        assert entry.outputs["seg"].max_abs < 1e-4
        assert entry.against_onnx.iou == 1
        assert entry.against_truth is None


@pytest.mark.parametrize("lacks", ["mask", "training"])
def test_without_a_mask_or_training_outputs_alone_are_compared(
    tiny_bundle, labelled: Path, lacks: str
) -> None:
    changes = (
        {"matte": None} if lacks == "mask" else {"manifest": {**tiny_bundle.manifest, "untrained": True}}
    )
    bundle = dataclasses.replace(tiny_bundle, **changes)
    result = verify(bundle, folder_pictures(bundle, labelled))
    assert [entry.precision for entry in result.variants] == ["fp32", "fp16", "int8"]
    for entry in variant(result, "int8").pictures:
        assert set(entry.outputs) == {"seg", "alpha"}
        assert entry.against_onnx is entry.against_truth is None


def test_progress_goes_from_none_to_all(tiny_bundle, labelled: Path) -> None:
    told: list[tuple[str, int, int]] = []
    verify(tiny_bundle, folder_pictures(tiny_bundle, labelled), progress=lambda *step: told.append(step))
    assert told == [("verifying", done, 3) for done in range(4)]


def test_the_document_holds_every_figure(result) -> None:
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    int8 = document["variants"][-1]
    assert int8["precision"] == "int8"
    mae = [picture["against_onnx"]["mae"] for picture in int8["pictures"]]
    assert int8["mean"]["onnx"]["mae"] == pytest.approx(np.mean(mae))
    flickers = [picture["against_onnx"]["flicker"] for picture in int8["pictures"][1:]]
    assert int8["mean"]["onnx"]["flicker"] == pytest.approx(np.mean(flickers))
    assert document["clip"] is True


def test_nan_is_no_figure(tiny_bundle) -> None:
    values = np.full((1, 3, 32, 32), np.nan, np.float32)
    with pytest.raises(CheckFailedError, match=r"onnx: output 'seg' holds NaN or infinity on broken"):
        verify(tiny_bundle, Pictures("a test", 1, [Picture("broken", {"picture": values})]))


def test_a_variant_that_is_not_there(tiny_bundle) -> None:
    with pytest.raises(UsageError, match="mixed"):
        verify(tiny_bundle, sample_pictures(tiny_bundle), precisions=["mixed"])


def test_a_mask_of_several_maps_is_refused(tiny_bundle) -> None:
    bundle = dataclasses.replace(tiny_bundle, matte=Matte("seg"))
    with pytest.raises(UsageError, match="made from Nx1xHxW"):
        verify(bundle, sample_pictures(bundle))
