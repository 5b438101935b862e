from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mobiledeploy.convert.converters import CONVERTERS

PREPROCESSING = ("--mean", "104,112,121", "--scale", "1/255", "--color", "bgr")


@pytest.fixture
def arguments(workshop: Path, tmp_path: Path) -> list[object]:
    return [
        *("convert", workshop / "net.pth", "--model", f"{workshop / 'net.py'}:Tiny"),
        *("--input-shape", "1x3x32x32", "-o", tmp_path / "b"),
    ]


def test_the_whole_command(command, arguments, workshop: Path, tmp_path: Path) -> None:
    outcome = command(
        *arguments, *PREPROCESSING, "--calibration", workshop / "pictures", "--mask", "alpha", "--outputs", "seg,alpha",
        *("--format", "markdown"),
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].startswith("| precision | model size (M) | vs fp32 |")
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| fp32", "| fp16", "| int8"]
    assert lines[6].startswith("int8: activations calibrated on 6 files, by mse;")
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["name"] == "net"
    assert manifest["preprocessing"]["mean"] == [104, 112, 121]
    assert manifest["preprocessing"]["scale"] == [1 / 255] * 3


def test_json_on_stdout_is_the_manifest_and_nothing_else(command, arguments, tmp_path: Path) -> None:
    outcome = command(*arguments, "--precision", "fp16", "--format", "json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == json.loads((tmp_path / "b" / "manifest.json").read_text())


def test_the_description_beside_the_network_is_used(command, workshop: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text((workshop / "net.py").read_text())
    (tmp_path / "net.toml").write_text(
        '[preprocessing]\ncolor = "bgr"\nmean = 128\nscale = 0.01\n'
        '[network]\ninput_shape = "1x3x32x32"\noutputs = ["a", "b"]\nmask = "a"\n'
        'mask_activation = "softmax"\n'
    )
    model = f"{tmp_path / 'net.py'}:Tiny"
    outcome = command(
        "convert", workshop / "net.pth", "--model", model, "--mean", "1,2,3", "-o", tmp_path / "b"
    )
    assert outcome.code == 0, outcome.err
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert (manifest["mask"], manifest["mask_activation"]) == ("a", "softmax")
    assert manifest["preprocessing"]["mean"] == [1, 2, 3]
    assert manifest["preprocessing"]["color"] == "bgr"
    assert [tensor["name"] for tensor in manifest["outputs"]] == ["a", "b"]


def test_an_activation_in_the_description_is_for_its_own_mask(
    command, workshop: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.toml").write_text(
        '[network]\ninput_shape = "1x3x32x32"\noutputs = ["a", "b"]\nmask = "a"\nmask_activation = "softmax"\n'
    )
    common = (
        "convert",
        workshop / "net.pth",
        "--model",
        f"{workshop / 'net.py'}:Tiny",
        "--precision",
        "fp32",
    )
    common += ("--preprocessing", tmp_path / "net.toml", "-o", tmp_path / "b", "--format", "json")
    for arguments, activation in (((), "none"), (("--mask-activation", "sigmoid"), "sigmoid")):
        outcome = command(*common, "--mask", "b", *arguments)
        assert outcome.code == 0, outcome.err
        manifest = json.loads(outcome.out)
        assert (manifest["mask"], manifest["mask_activation"]) == ("b", activation)


def write_bad(kind: str, path: Path) -> Path:
    if kind == "html":
        path.write_text("<!DOCTYPE html><html>Not found</html>")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        torch.save({"w": torch.zeros(1000)}, path)
        path.write_bytes(path.read_bytes()[:-500])
    elif kind == "module":
        torch.save(torch.nn.Linear(2, 2), path)
    elif kind == "pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    elif kind == "no tensors":
        torch.save({"epoch": 3}, path)
    elif kind == "other network":
        torch.save({"state_dict": torch.nn.Linear(2, 2).state_dict()}, path)
    return path


@pytest.mark.parametrize(
    "kind", ["html", "empty", "truncated", "module", "pointer", "no tensors", "other network"]
)
def test_bad_checkpoints_end_with_4_and_leave_nothing(command, arguments, tmp_path: Path, kind: str) -> None:
    arguments[1] = write_bad(kind, tmp_path / "bad.pth")
    outcome = command(*arguments)
    assert outcome.code == 4, outcome.err
    assert outcome.err.count("error:") == 1
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pth"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--precision", "fp8"], "fp8"),
        (["--converter", "tvm"], "tvm"),
        (["--precision", "int8"], "calibrat"),
        (["--input-shape", "3xHxW"], "3xHxW"),
        (["--mean", "1,2"], "--mean"),
        (["--scale", "1/0"], "--scale"),
        (["--calibration", "nowhere", *PREPROCESSING], "nowhere"),
        (["--preprocessing", "nowhere.toml"], r"nowhere\.toml"),
        (["--mask", "beta"], "beta"),
        (["--model", "nowhere.py:Tiny"], r"nowhere\.py"),
        (["--outputs", "a,b,c"], "output names"),
        (["--bogus"], "bogus"),
    ],
)
def test_bad_requests_end_with_2_and_leave_nothing(
    command, arguments, tmp_path: Path, changes, message: str
) -> None:
    outcome = command(*arguments, *changes)
    assert outcome.code == 2, outcome.err
    assert message.replace("\\", "") in outcome.err
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_every_converter_can_be_chosen(command) -> None:
    assert f"[{'|'.join(CONVERTERS)}]" in command("convert", "--help").out
