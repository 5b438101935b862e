from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ncnn_tools.quantization import WEIGHT_THRESHOLDS


def test_the_whole_command(command, tiny_bundle, workshop: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    options = ("--calibration", workshop / "pictures", "--method", "absmax", "--weights", "mse")
    options += ("--no-bias-correction", "--rounding", "--equalize", "--no-center", "--no-chains")
    outcome = command("quantize", tmp_path / "b", *options, "--format", "json")
    assert outcome.code == 0, outcome.err
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert json.loads(outcome.out) == manifest
    assert manifest["variants"]["int8"]["quantization"] == {
        "method": "absmax",
        "weights": "mse",
        "bias_correction": False,
        "rounding": True,
        "equalize": True,
        "center": False,
        "chains": False,
    }
    again = command("quantize", tmp_path / "b", *options)
    assert again.code == 0
    assert f"unchanged: {tmp_path / 'b'}" in again.err


def test_the_table_is_that_of_the_other_bundle(command, tiny_bundle, tmp_path: Path) -> None:
    outcome = command(
        "quantize", tiny_bundle.path, "-o", tmp_path / "b", "--method", "kl", "--format", "markdown"
    )
    assert outcome.code == 0, outcome.err
    assert f"wrote {tmp_path / 'b'}" in outcome.err
    lines = outcome.out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| fp32", "| fp16", "| int8"]
    assert lines[6].startswith("int8: activations calibrated on 6 files, by kl;")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights", "kl"), "'kl' is not one of"),
        (("--method", "eq"), "absmax, percentile, kl, mse, cosine"),
        (("--calibration", "nowhere"), "no such folder"),
    ],
)
def test_a_request_that_cannot_be_met_is_a_usage_error(command, tiny_bundle, arguments, message: str) -> None:
    outcome = command("quantize", tiny_bundle.path, *arguments)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_folder_that_is_no_bundle(command, tmp_path: Path) -> None:
    outcome = command("quantize", tmp_path)
    assert outcome.code == 2
    assert "not a bundle" in outcome.err


def test_help_names_the_weight_thresholds_that_there_are(command) -> None:
    text = command("quantize", "--help").out
    assert f"[{'|'.join(sorted(WEIGHT_THRESHOLDS))}]" in text
