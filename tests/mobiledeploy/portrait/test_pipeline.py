from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobiledeploy.errors import CheckFailedError, DeviceError, MobileDeployError, UsageError
from mobiledeploy.portrait import portrait, process
from mobiledeploy.portrait.pipeline import Made


@pytest.fixture
def make(studio, media):
    return lambda source, target: portrait(source, target, studio, media.quiet)


def fill(folder: Path, media) -> None:
    folder.mkdir()
    picture = Image.fromarray(media.scene())
    picture.save(folder / "a10.png")
    picture.save(folder / "a2.jpg")
    media.write_video(folder / "clip.mp4", [picture] * 3)
    (folder / "notes.txt").write_text("not a picture")
    picture.save(folder / "a2_alpha.png")


def test_a_folder_becomes_one_of_the_same_names(make, media, tmp_path: Path) -> None:
    fill(tmp_path / "in", media)
    done: list[Made | MobileDeployError] = []
    process(tmp_path / "in", tmp_path / "deep" / "out", make, done.append)
    assert [(made.path.name, made.frames) for made in done] == [
        ("a2.jpg", 1),
        ("a10.png", 1),
        ("clip.mp4", 3),
    ]
    names = sorted(path.name for path in (tmp_path / "deep" / "out").iterdir())
    assert names == ["a10.png", "a2.jpg", "clip.mp4"]
    media.assert_painted(np.asarray(Image.open(tmp_path / "deep" / "out" / "a10.png")), media.scene())


def test_a_bad_file_does_not_stop_the_others(make, media, tmp_path: Path) -> None:
    fill(tmp_path / "in", media)
    (tmp_path / "in" / "a3.png").write_bytes(b"broken")
    (tmp_path / "in" / "b.mp4").write_bytes(b"")
    done: list[Made | MobileDeployError] = []
    with pytest.raises(CheckFailedError, match=r"2 of 5 files could not be made: a3\.png, b\.mp4"):
        process(tmp_path / "in", tmp_path / "out", make, done.append)
    failures = [made for made in done if isinstance(made, UsageError)]
    assert len(failures) == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a10.png", "a2.jpg", "clip.mp4"]


def test_a_device_that_is_gone_ends_it_all(media, tmp_path: Path) -> None:
    fill(tmp_path / "in", media)

    def lost(_source: Path, _target: Path) -> Made:
        raise DeviceError("gone")

    with pytest.raises(DeviceError):
        process(tmp_path / "in", tmp_path / "out", lost, pytest.fail)


def test_a_file_into_a_folder_that_is_there(make, media, tmp_path: Path) -> None:
    Image.fromarray(media.scene()).save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    process(tmp_path / "a.png", tmp_path / "out", make, lambda _: None)
    assert (tmp_path / "out" / "a.png").is_file()


def test_the_original_is_never_replaced(make, media, tmp_path: Path) -> None:
    fill(tmp_path / "in", media)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    before = {path: path.read_bytes() for path in (tmp_path / "in").iterdir()}
    for source, target in (
        ("in", "in"),
        ("in", "link"),
        ("in/a2.jpg", "in/a2.jpg"),
        ("in/a2.jpg", "link/a2.jpg"),
        ("in/a2.jpg", "in"),
    ):
        with pytest.raises(UsageError, match="original"):
            process(tmp_path / source, tmp_path / target, make, pytest.fail)
    assert {path: path.read_bytes() for path in (tmp_path / "in").iterdir()} == before


def test_a_folder_into_a_file_is_refused(make, media, tmp_path: Path) -> None:
    fill(tmp_path / "in", media)
    (tmp_path / "out").write_text("precious")
    with pytest.raises(UsageError, match="is a file"):
        process(tmp_path / "in", tmp_path / "out", make, pytest.fail)
    assert (tmp_path / "out").read_text() == "precious"


def test_a_folder_without_media(make, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(UsageError, match="no pictures"):
        process(tmp_path / "in", tmp_path / "out", make, pytest.fail)
    assert not (tmp_path / "out").exists()
