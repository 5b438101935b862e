from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mobiledeploy.bundle import building, open_bundle
from mobiledeploy.errors import UsageError
from mobiledeploy.matte import Matte


@pytest.fixture
def copy(tiny_bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "copy"))


def change_manifest(bundle: Path, **changes: object) -> None:
    file = bundle / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_bundle_says_what_is_in_it(tiny_bundle) -> None:
    assert tiny_bundle.name == "tiny"
    assert tiny_bundle.mask == "alpha"
    assert list(tiny_bundle.variants) == ["fp32", "fp16", "int8"]
    assert [(tensor.name, tensor.shape) for tensor in tiny_bundle.inputs] == [("picture", (1, 3, 32, 32))]
    assert [tensor.name for tensor in tiny_bundle.outputs] == ["seg", "alpha"]
    assert tiny_bundle.preprocessing.color == "bgr"
    assert np.load(tiny_bundle.samples()["picture"]).shape == (4, 3, 32, 32)


def test_a_moved_bundle_still_opens(tiny_bundle, copy: Path) -> None:
    assert open_bundle(copy).variants["int8"].size_bytes == tiny_bundle.variants["int8"].size_bytes


@pytest.mark.parametrize("file", ["model.onnx", "fp32.param", "int8.bin", "samples/picture.npy"])
def test_a_changed_file_is_named(copy: Path, file: str) -> None:
    data = bytearray((copy / file).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / file).write_bytes(data)
    with pytest.raises(UsageError, match=f"{Path(file).name}.*changed"):
        open_bundle(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "fp16.bin").unlink()
    with pytest.raises(UsageError, match=r"lacks fp16\.bin"):
        open_bundle(copy)


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a bundle"):
        open_bundle(tmp_path)
    with pytest.raises(UsageError, match="not a bundle"):
        open_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', "\udcff"])
def test_a_damaged_manifest(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=r"manifest\.json"):
        open_bundle(copy)


def test_a_manifest_without_its_keys(copy: Path) -> None:
    change_manifest(copy, variants=3)
    with pytest.raises(UsageError, match="damaged"):
        open_bundle(copy)


def test_a_manifest_from_before_activations(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["mask_activation"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert open_bundle(copy).matte == Matte("alpha", "none")


def test_an_unknown_activation_is_refused(copy: Path) -> None:
    change_manifest(copy, mask_activation="relu")
    with pytest.raises(UsageError, match="relu"):
        open_bundle(copy)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname"])
def test_files_outside_the_bundle_are_refused(copy: Path, name: str) -> None:
    change_manifest(copy, files={name: {"sha256": "0", "bytes": 1}})
    with pytest.raises(UsageError, match="outside"):
        open_bundle(copy)


def test_an_unknown_variant_lists_those_there_are(tiny_bundle) -> None:
    with pytest.raises(UsageError, match="mixed") as caught:
        tiny_bundle.variant("mixed")
    assert "fp32, fp16, int8" in caught.value.hint


def test_building_replaces_a_bundle_only_when_it_ends_well(copy: Path) -> None:
    before = (copy / "manifest.json").read_bytes()
    with pytest.raises(KeyboardInterrupt), building(copy) as folder:
        (folder / "half").write_text("written")
        raise KeyboardInterrupt
    assert (copy / "manifest.json").read_bytes() == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    with building(copy) as folder:
        (folder / "manifest.json").write_text("new")
    assert [path.name for path in copy.iterdir()] == ["manifest.json"]
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_building_does_not_touch_other_folders(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "precious.jpg").write_text("x")
    with pytest.raises(UsageError, match="not a bundle"), building(tmp_path / "photos"):
        pytest.fail("must not get here")
    assert (tmp_path / "photos" / "precious.jpg").read_text() == "x"
