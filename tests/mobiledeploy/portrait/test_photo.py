from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from mobiledeploy.errors import CheckFailedError, UsageError
from mobiledeploy.portrait import HostNetwork, portrait


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_size_and_the_persons_pixels_are_kept(studio, media, tmp_path: Path, name: str) -> None:
    original = media.scene()
    Image.fromarray(original).save(tmp_path / name)
    made = portrait(tmp_path / name, tmp_path / f"out_{name}", studio, media.quiet)
    assert (made.path, made.frames) == (tmp_path / f"out_{name}", 1)
    with Image.open(made.path) as result:
        assert result.size == media.size
        media.assert_painted(np.asarray(result), original)


@pytest.mark.parametrize(("name", "form"), [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP")])
def test_formats_with_loss_lose_little(studio, media, tmp_path: Path, name: str, form: str) -> None:
    block = media.block((200, 40, 40), (20, 120, 160))
    block.save(tmp_path / name, form)
    portrait(tmp_path / name, tmp_path / f"out_{name}", studio, media.quiet)
    with Image.open(tmp_path / f"out_{name}") as result:
        assert result.format == form
        media.assert_painted(np.asarray(result), np.asarray(block), tolerance=6)


def test_the_suffix_says_the_format(studio, media, tmp_path: Path) -> None:
    Image.fromarray(media.scene()).save(tmp_path / "a.jpg")
    portrait(tmp_path / "a.jpg", tmp_path / "b.png", studio, media.quiet)
    with Image.open(tmp_path / "b.png") as result:
        assert result.format == "PNG"


def test_a_turned_photo_becomes_an_upright_one_without_exif(studio, media, tmp_path: Path) -> None:
    original = media.scene()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    exif[0x010E] = "at home"
    Image.fromarray(np.rot90(original)).save(tmp_path / "a.png", exif=exif)
    portrait(tmp_path / "a.png", tmp_path / "b.png", studio, media.quiet)
    with Image.open(tmp_path / "b.png") as result:
        assert not result.getexif()
        media.assert_painted(np.asarray(result), original)


def profile_of(space: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_an_rgb_profile_is_kept(studio, media, tmp_path: Path, name: str) -> None:
    profile = profile_of("sRGB")
    Image.fromarray(media.scene()).save(tmp_path / name, icc_profile=profile)
    portrait(tmp_path / name, tmp_path / f"out_{name}", studio, media.quiet)
    with Image.open(tmp_path / f"out_{name}") as result:
        assert result.info["icc_profile"] == profile


def test_a_profile_for_other_colours_is_not(studio, media, tmp_path: Path) -> None:
    Image.fromarray(media.scene()).save(tmp_path / "a.png", icc_profile=profile_of("LAB"))
    portrait(tmp_path / "a.png", tmp_path / "b.png", studio, media.quiet)
    with Image.open(tmp_path / "b.png") as result:
        assert "icc_profile" not in result.info


def test_a_transparent_picture_lies_over_white(studio, media, tmp_path: Path) -> None:
    picture = Image.fromarray(media.scene())
    picture.putalpha(Image.new("L", picture.size, 0))
    picture.save(tmp_path / "a.png")
    portrait(tmp_path / "a.png", tmp_path / "b.png", studio, media.quiet)
    with Image.open(tmp_path / "b.png") as result:
        assert result.mode == "RGB"
        assert result.getextrema() == ((255, 255),) * 3


def test_a_photo_with_a_second_picture_behind_it_as_phones_make(studio, media, tmp_path: Path) -> None:
    original = Image.fromarray(media.scene())
    original.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[original.resize((10, 10))])
    portrait(tmp_path / "a.jpg", tmp_path / "b.jpg", studio, media.quiet)
    with Image.open(tmp_path / "b.jpg") as result:
        assert (result.format, result.size) == ("JPEG", media.size)


def test_several_pictures_in_one_file_are_refused(studio, media, tmp_path: Path) -> None:
    frames = [Image.fromarray(media.scene(seed)) for seed in range(2)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(UsageError, match=r"a\.webp: holds several pictures"):
        portrait(tmp_path / "a.webp", tmp_path / "b.webp", studio, media.quiet)


def test_an_older_file_stays_where_the_photo_is_damaged(studio, media, tmp_path: Path) -> None:
    Image.fromarray(media.scene()).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    (tmp_path / "b.png").write_bytes(b"older")
    with pytest.raises(UsageError, match=r"a\.png"):
        portrait(tmp_path / "a.png", tmp_path / "b.png", studio, media.quiet)
    assert (tmp_path / "b.png").read_bytes() == b"older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_a_network_that_computes_nan_is_reported(red_bundle, media, monkeypatch: pytest.MonkeyPatch) -> None:
    network = HostNetwork(red_bundle, "fp32")
    monkeypatch.setattr(network, "tensors", lambda _: np.full((1, 3, 64, 64), np.nan, np.float32))
    with pytest.raises(CheckFailedError, match="not finite"):
        network.alphas([Image.fromarray(media.scene())])


@pytest.mark.parametrize("missing", ["matte", "preprocessing"])
def test_a_bundle_that_does_not_say_where_the_person_is_is_refused(red_bundle, missing: str) -> None:
    with pytest.raises(UsageError, match="mask" if missing == "matte" else missing):
        HostNetwork(dataclasses.replace(red_bundle, **{missing: None}), "fp32")
