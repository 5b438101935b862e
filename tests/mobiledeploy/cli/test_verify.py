from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def pictures(workshop: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(workshop / "pictures", tmp_path / "pictures"))
    Image.new("L", (40, 48), 255).save(folder / "picture0_alpha.png")
    return folder


def test_every_variant_on_pictures(command, tiny_bundle, pictures: Path) -> None:
    outcome = command("verify", tiny_bundle.path, "--images", pictures, "--format", "csv")
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    pairs = [(row["precision"], row["against"]) for row in rows]
    assert pairs == [
        *(("fp32", "onnx"), ("fp16", "onnx"), ("int8", "onnx")),
        *(("onnx", "truth"), ("fp32", "truth"), ("fp16", "truth"), ("int8", "truth")),
    ]
    assert float(rows[0]["max error"]) < 1e-4
    assert float(rows[0]["IoU"]) > 0.999
    assert "6 pictures" in outcome.err


def test_json_is_the_document_and_nothing_else(command, tiny_bundle, pictures: Path) -> None:
    outcome = command(
        "verify", tiny_bundle.path, "--images", pictures, "--clip", "--precision", "int8", "--format", "json"
    )
    document = json.loads(outcome.out)
    assert document["kind"] == "verification"
    int8 = document["variants"][-1]
    assert [entry["picture"] for entry in int8["pictures"]] == [f"picture{i}.png" for i in range(6)]
    assert int8["pictures"][0]["against_onnx"]["flicker"] is None
    assert int8["pictures"][1]["against_onnx"]["flicker"] >= 0


def test_the_bundles_own_samples(command, tiny_bundle) -> None:
    outcome = command("verify", tiny_bundle.path, "--format", "markdown")
    assert outcome.code == 0
    assert outcome.out.startswith("| precision | against | IoU |")
    assert "4 pictures of the bundle's own samples" in outcome.out


def test_a_broken_bound_is_exit_code_1_after_the_table(command, tiny_bundle, pictures: Path) -> None:
    arguments = ("verify", tiny_bundle.path, "--images", pictures, "--against", "truth", "--format", "csv")
    assert command(*arguments, "--max-mae", "1").code == 0
    outcome = command(*arguments, "--precision", "int8", "--max-mae", "0.001")
    assert outcome.code == 1
    assert outcome.out.startswith("precision,")
    assert "int8: mae against truth is" in outcome.err
    assert "on picture0.png" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "nowhere"], "nowhere: no such folder"),
        (["--clip"], "--images"),
        (["--min-iou", "2"], "min-iou"),
        (["--max-flicker", "1"], "flicker"),
        (["--min-iou", "0.5", "--against", "truth"], "'iou' against truth"),
        (["--precision", "mixed"], "mixed"),
    ],
)
def test_bad_requests(command, tiny_bundle, arguments: list[str], message: str) -> None:
    outcome = command("verify", tiny_bundle.path, *arguments)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_damaged_picture_is_named(command, tiny_bundle, pictures: Path) -> None:
    (pictures / "picture3.png").write_bytes(b"\x89PNG\r\n\x1a\nnot one")
    outcome = command("verify", tiny_bundle.path, "--images", pictures)
    assert outcome.code == 2
    assert "picture3.png" in outcome.err
    assert "Traceback" not in outcome.err
