from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

FOLDER = "data/local/tmp/mobiledeploy"


def test_a_checkpoint_beside_its_bundle(command, workshop: Path, tiny_bundle) -> None:
    model = f"{workshop / 'net.py'}:Tiny"
    outcome = command(
        "diff", workshop / "net.pth", f"{tiny_bundle.path}:fp32", "--model", model, "--format", "markdown"
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("| # | layer | type | tensor | module | shape |")
    assert "| head.2 |" in outcome.out
    assert "All of these are within the bound." in outcome.out


def test_a_tensor_out_of_the_bound_is_exit_code_1_after_the_table(command, tiny_bundle) -> None:
    arguments = ("diff", f"{tiny_bundle.path}:onnx", f"{tiny_bundle.path}:int8")
    assert command(*arguments).code == 0
    outcome = command(*arguments, "--min-snr", "60", "--format", "csv")
    assert outcome.code == 1
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [row["note"] for row in rows].count("bad, its inputs are good") >= 1
    assert "First bad layer: node_" in outcome.err
    assert "tensors are out of the bound, from layer 'node_" in outcome.err


def test_json_is_the_document_and_nothing_else(command, tiny_bundle, workshop: Path) -> None:
    picture = workshop / "pictures/picture1.png"
    outcome = command(
        *("diff", f"{tiny_bundle.path}:fp32", f"{tiny_bundle.path}:fp16"),
        *("--input", picture, "--format", "json"),
    )
    document = json.loads(outcome.out)
    assert document["kind"] == "diff"
    assert document["passed"] is True
    assert document["input"] == str(picture)
    assert len(document["tensors"]) == document["matched"]
    assert [side["kind"] for side in (document["reference"], document["candidate"])] == ["fp32", "fp16"]


def test_everything_shows_what_has_no_counterpart(command, tiny_bundle) -> None:
    outcome = command(
        "diff", f"{tiny_bundle.path}:onnx", f"{tiny_bundle.path}:fp32", "--all", "--format", "csv"
    )
    notes = [row["note"] for row in csv.DictReader(io.StringIO(outcome.out))]
    assert f"only in {tiny_bundle.path}:onnx" in notes


def test_a_variant_on_the_device(command, tiny_bundle, chosen_phone) -> None:
    outcome = command(
        "diff", f"{tiny_bundle.path}:onnx", f"{tiny_bundle.path}:fp32@device", "--format", "json"
    )
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["candidate"]["on_device"] is True
    assert document["complete"] is False
    assert [tensor["reference"]["tensor"] for tensor in document["tensors"]] == ["seg", "alpha"]
    assert [path.name for path in (chosen_phone.root / FOLDER).glob("run-*")] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{bundle}", "{bundle}:int8"], "which variant of the bundle?"),
        (["{bundle}:onnx", "{bundle}:fp8"], "'fp8'"),
        (["{bundle}:onnx", "{bundle}:int8", "-s", "x"], "neither side runs on a device"),
        (["{bundle}:onnx", "{bundle}:int8", "--input", "nowhere.png"], "nowhere.png: no such file"),
        (["{bundle}:onnx", "{bundle}:int8", "--max-relative", "0"], "--max-relative"),
        (["{bundle}:onnx", "nowhere.pth"], "nowhere.pth: no such file or bundle"),
    ],
)
def test_bad_requests(command, tiny_bundle, arguments: list[str], message: str) -> None:
    outcome = command("diff", *(argument.format(bundle=tiny_bundle.path) for argument in arguments))
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_no_device_is_exit_code_3(command, tiny_bundle) -> None:
    outcome = command(
        "diff", f"{tiny_bundle.path}:onnx", f"{tiny_bundle.path}:int8@device", "-s", "127.0.0.1:1"
    )
    assert outcome.code == 3
