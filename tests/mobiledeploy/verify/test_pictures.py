from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobiledeploy.errors import UsageError
from mobiledeploy.verify import folder_pictures, sample_pictures


def test_pictures_come_in_natural_order_through_the_bundles_preprocessing(
    tiny_bundle, labelled: Path
) -> None:
    pictures = folder_pictures(tiny_bundle, labelled)
    items = list(pictures.items)
    assert pictures.count == len(items) == 3
    assert [item.name for item in items] == ["frame1.png", "frame2.png", "frame10.png"]
    expected = tiny_bundle.preprocessing.load(labelled / "frame10.png")
    assert np.array_equal(items[2].inputs["picture"], expected)


def test_the_truth_is_squeezed_like_the_picture(tiny_bundle, labelled: Path) -> None:
    first, _, last = folder_pictures(tiny_bundle, labelled).items
    with Image.open(labelled / "frame1_alpha.png") as matte:
        squeezed = np.asarray(matte.resize((32, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(first.truth, squeezed.astype(np.float32) / 255)
    assert first.truth.max() > 0.99
    assert last.truth is None


def test_16_bit_mattes_keep_their_levels(tiny_bundle, labelled: Path, tmp_path: Path) -> None:
    shutil.copy(labelled / "frame1.png", tmp_path)
    levels = np.broadcast_to(np.linspace(0, 65535, 40).astype(np.uint16), (48, 40))
    Image.fromarray(np.ascontiguousarray(levels)).save(tmp_path / "frame1_alpha.png")
    (fine,) = folder_pictures(tiny_bundle, tmp_path).items
    coarse = next(iter(folder_pictures(tiny_bundle, labelled).items))
    np.testing.assert_allclose(fine.truth, coarse.truth, atol=1.01 / 255)


def test_the_samples_of_the_bundle(tiny_bundle) -> None:
    pictures = sample_pictures(tiny_bundle)
    stored = np.load(tiny_bundle.samples()["picture"])
    assert pictures.source == "samples"
    assert np.array_equal(np.concatenate([item.inputs["picture"] for item in pictures.items]), stored)


def test_arrays_for_a_bundle_without_preprocessing(tiny_bundle, labelled: Path, tmp_path: Path) -> None:
    bare = dataclasses.replace(tiny_bundle, preprocessing=None)
    values = np.random.default_rng(0).standard_normal((3, 32, 32), np.float32)
    np.save(tmp_path / "a.npy", values)
    (item,) = folder_pictures(bare, tmp_path).items
    assert np.array_equal(item.inputs["picture"][0], values)
    with pytest.raises(UsageError, match=r"frame1\.png"):
        list(folder_pictures(bare, labelled).items)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resize_matte(path: Path) -> None:
    Image.new("L", (48, 40)).save(path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("frame2.png", damage, r"frame2\.png"),
        ("frame2_alpha.png", damage, r"frame2_alpha\.png"),
        ("frame2_alpha.png", resize_matte, r"frame2_alpha\.png: is 48x40 pixels, but frame2\.png is 40x48"),
    ],
)
def test_a_file_that_does_not_do_is_named(
    tiny_bundle, labelled: Path, tmp_path: Path, name, change, message
) -> None:
    folder = Path(shutil.copytree(labelled, tmp_path / "copy"))
    change(folder / name)
    with pytest.raises(UsageError, match=message):
        list(folder_pictures(tiny_bundle, folder).items)


@pytest.mark.parametrize("preprocessing", [True, False])
def test_a_damaged_array_is_named(tiny_bundle, tmp_path: Path, preprocessing: bool) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 32, 32), np.float32))
    damage(tmp_path / "a.npy")
    bundle = tiny_bundle if preprocessing else dataclasses.replace(tiny_bundle, preprocessing=None)
    with pytest.raises(UsageError, match=r"a\.npy"):
        list(folder_pictures(bundle, tmp_path).items)


def test_pictures_are_not_for_networks_of_several_inputs(tiny_bundle, labelled: Path) -> None:
    two = dataclasses.replace(tiny_bundle, inputs=tiny_bundle.inputs * 2)
    with pytest.raises(UsageError, match="2 inputs"):
        folder_pictures(two, labelled)
