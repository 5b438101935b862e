from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from mobiledeploy.errors import UsageError
from mobiledeploy.portrait import portrait

DURATIONS = [50, 120, 80, 200, 30]  # ms


def write_gif(path: Path, media, **options: object) -> list[np.ndarray]:
    """A person who moves down; each frame in flat colours, which a palette of 256 holds exactly."""
    pictures = []
    for number in range(len(DURATIONS)):
        picture = np.asarray(media.block((210, 30, 20), (10, 90, 140))).copy()
        picture[:5, : 5 + number] = (0, 200, 0)
        pictures.append(picture)
    frames = [Image.fromarray(picture) for picture in pictures]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=DURATIONS, **options)
    return pictures


def read_gif(path: Path) -> tuple[list[np.ndarray], list[int], object]:
    with Image.open(path) as image:
        assert image.format == "GIF"
        loop = image.info.get("loop")
        frames = [
            (np.asarray(frame.convert("RGB")), frame.info["duration"])
            for frame in ImageSequence.Iterator(image)
        ]
    return [frame for frame, _ in frames], [duration for _, duration in frames], loop


@pytest.mark.parametrize("loop", [None, 0, 3])
def test_frames_durations_and_loop_are_kept(studio, media, tmp_path: Path, loop: int | None) -> None:
    originals = write_gif(tmp_path / "a.gif", media, **({} if loop is None else {"loop": loop}))
    made = portrait(tmp_path / "a.gif", tmp_path / "b.gif", studio, media.quiet)
    frames, durations, found = read_gif(tmp_path / "b.gif")
    assert (durations, found, made.frames) == (DURATIONS, loop, len(DURATIONS))
    for frame, original in zip(frames, originals, strict=True):
        media.assert_painted(frame, original, tolerance=3)  # of the palette


def test_frames_that_come_out_equal_keep_their_time(studio, media, tmp_path: Path) -> None:
    """The first two differ in their background's colour alone, which grey takes away."""
    person = (210, 30, 20)
    luma = round(0.299 * 10 + 0.587 * 90 + 0.114 * 140)
    backgrounds = [(10, 90, 140), (luma, luma, luma), (40, 40, 40)]
    frames = [media.block(person, background) for background in backgrounds]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[70, 90, 110])
    portrait(tmp_path / "a.gif", tmp_path / "b.gif", studio, media.quiet)
    assert sum(read_gif(tmp_path / "b.gif")[1]) == 270


def test_an_animation_needs_the_name_of_one(studio, media, tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", media)
    with pytest.raises(UsageError, match=r"b\.png"):
        portrait(tmp_path / "a.gif", tmp_path / "b.png", studio, media.quiet)


def test_a_gif_cut_short_leaves_the_older_file(studio, media, tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", media)
    data = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(data[: len(data) * 2 // 3])
    (tmp_path / "b.gif").write_bytes(b"older")
    with pytest.raises(UsageError, match=r"a\.gif"):
        portrait(tmp_path / "a.gif", tmp_path / "b.gif", studio, media.quiet)
    assert (tmp_path / "b.gif").read_bytes() == b"older"


def test_an_interrupt_leaves_nothing(studio, media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gif(tmp_path / "a.gif", media)
    calls = []

    def background(picture: Image.Image, _alpha: Image.Image) -> Image.Image:
        calls.append(picture)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return picture

    with pytest.raises(KeyboardInterrupt):
        portrait(
            tmp_path / "a.gif", tmp_path / "b.gif", type(studio)(studio.network, background), media.quiet
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]
