"""Gathering pictures, and the batches made of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import models
from models.dataset import (
    Preprocessing,
    augmented,
    batch,
    gather,
    indices,
    photos_in,
    read_photo,
    resized,
    synthetic_pictures,
)
from models.synthetic import portrait, write_portraits


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.stack(list(synthetic_pictures(0, 6, 64, workers=1)))


def test_synthetic_pictures_are_the_generators(pictures):
    picture, alpha = portrait(4, 64)
    np.testing.assert_array_equal(pictures[4][..., :3], picture)
    np.testing.assert_array_equal(pictures[4][..., 3], np.rint(alpha * 255))


def test_more_workers_give_the_same_pictures(pictures):
    np.testing.assert_array_equal(np.stack(list(synthetic_pictures(0, 6, 64, workers=2))), pictures)


def test_every_picture_is_used_once_before_any_is_used_again():
    taken = [index for step in range(6) for index in indices(10, 3, step, 5)]
    rounds = [taken[:10], taken[10:20], taken[20:]]
    assert all(sorted(r) == list(range(10)) for r in rounds)
    assert rounds[0] != rounds[1]
    assert [i for step in range(10) for i in indices(10, 3, step, 3)] == taken


def test_a_batch_larger_than_the_set_repeats_pictures():
    assert Counter(indices(4, 0, 0, 8)) == {0: 2, 1: 2, 2: 2, 3: 2}


def test_batches_depend_on_seed_and_step_alone(pictures):
    rgb, alpha = batch(pictures, 1, 5, 4, 32)
    assert rgb.shape == (4, 3, 32, 32)
    assert alpha.shape == (4, 1, 32, 32)
    assert rgb.max() > 1
    assert alpha.max() == 1
    again, _ = batch(pictures, 1, 5, 4, 32)
    assert torch.equal(rgb, again)
    assert not torch.equal(rgb, batch(pictures, 1, 6, 4, 32)[0])
    assert not torch.equal(rgb, batch(pictures, 2, 5, 4, 32)[0])


def test_augmentation_moves_colour_and_alpha_together():
    # A white square on black with alpha alike: whatever the crop, white stays where alpha is.
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[20:44, 20:44] = 255
    for seed in range(10):
        out = augmented(picture, 64, np.random.default_rng(seed))
        bright = out[..., :3].min(axis=2) > 100
        assert (bright == (out[..., 3] > 100)).mean() > 0.97
        assert bright.any()


def test_colour_beyond_alpha_is_not_lost():
    # Pillow would blacken these colours if alpha were part of the image that is resized.
    picture = np.full((64, 64, 4), 200, np.uint8)
    picture[..., 3] = 0
    assert resized(picture, 32)[..., :3].min() == 200


def test_gathering_is_done_once(tmp_path, pictures):
    path, calls = tmp_path / "set.npy", []
    first = gather(iter(pictures), 6, 64, path, lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(first, pictures)
    assert calls == [(n, 6) for n in range(1, 7)]
    again = gather(iter(()), 6, 64, path)
    np.testing.assert_array_equal(again, pictures)
    assert [p.name for p in tmp_path.iterdir()] == ["set.npy"]


def test_interrupted_gathering_leaves_no_set_behind(tmp_path, pictures):
    def broken():
        yield pictures[0]
        raise KeyboardInterrupt

    path = tmp_path / "set.npy"
    with pytest.raises(KeyboardInterrupt):
        gather(broken(), 6, 64, path)
    assert not path.exists()
    np.testing.assert_array_equal(gather(iter(pictures), 6, 64, path), pictures)


def test_photos_are_those_with_an_alpha(tmp_path):
    written = write_portraits(tmp_path, 2, seed=0, size=32)
    Image.new("RGB", (8, 8)).save(tmp_path / "alone.jpg")
    (tmp_path / "notes.txt").write_text("")
    assert photos_in(tmp_path) == written


def test_a_photo_is_squeezed_and_turned_upright(tmp_path):
    image = Image.new("RGB", (40, 20), (10, 200, 30))
    exif = image.getexif()
    exif[0x0112] = 6  # orientation: turned a quarter; upright it is 20 wide and 40 high
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    alpha = np.zeros((40, 20), np.uint8)
    alpha[:20] = 255
    Image.fromarray(alpha).save(tmp_path / "a_alpha.png")
    picture = read_photo(tmp_path / "a.jpg", 32)
    assert picture.shape == (32, 32, 4)
    assert np.abs(picture[..., :3].astype(int) - (10, 200, 30)).max() < 8
    assert picture[:14, :, 3].min() == 255
    assert picture[18:, :, 3].max() == 0


def test_a_photo_and_an_alpha_of_other_size_are_refused(tmp_path):
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg")
    Image.new("L", (20, 20)).save(tmp_path / "a_alpha.png")
    with pytest.raises(ValueError, match=r"a\.jpg is \(40, 20\)"):
        read_photo(tmp_path / "a.jpg", 32)


def test_preprocessing_is_what_the_description_says():
    preprocess = Preprocessing.of_network(Path(models.__file__).with_name("seg_matting.toml"))
    rgb = torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1)
    expected = (np.array([30, 20, 10]) - (104, 112, 121)) / 255
    np.testing.assert_allclose(preprocess(rgb).flatten(), expected, atol=1e-6)
    assert Preprocessing("rgb", (0, 0, 0), 1)(rgb).flatten().tolist() == [10, 20, 30]


@pytest.mark.parametrize("name", ["portrait_000000.jpg", "portrait_000000_alpha.png"])
def test_a_damaged_file_is_named(name, tmp_path):
    (photo,) = write_portraits(tmp_path, 1, seed=0, size=64)
    damaged = tmp_path / name
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    with pytest.raises(OSError, match=r"portrait_000000\.jpg or its alpha can't be read"):
        read_photo(photo, 32)
