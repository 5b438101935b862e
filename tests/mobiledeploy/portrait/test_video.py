from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mobiledeploy.errors import UsageError
from mobiledeploy.portrait import portrait

CODEC_LOSS = 12  # grey levels, in the middle of flat colours


@pytest.fixture
def pictures(media) -> list[Image.Image]:
    """Twelve frames; the background gets lighter, so that each can be told from the others."""
    return [media.block((200, 40, 40), (10, 60 + 8 * number, 150)) for number in range(12)]


def stretch(pictures: list[Image.Image], size: tuple[int, int]) -> list[Image.Image]:
    return [picture.resize(size, Image.Resampling.NEAREST) for picture in pictures]


def crop(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.NEAREST))


@pytest.mark.parametrize(
    ("name", "encoder", "found"),
    [
        ("a.mp4", "libx264", "h264"),
        ("a.mov", "mpeg4", "h264"),
        ("a.mkv", "libx264", "h264"),
        ("a.webm", "libvpx", "vp8"),
        ("a.avi", "mpeg4", "mpeg4"),
    ],
)
def test_frames_rate_size_and_person_are_kept(
    studio, media, pictures, tmp_path: Path, name: str, encoder: str, found: str
) -> None:
    rate = Fraction(30000, 1001)
    source = media.write_video(tmp_path / name, pictures, encoder=encoder, rate=rate)
    seen = []
    made = portrait(source, tmp_path / f"out_{name}", studio, lambda *step: seen.append(step))
    assert (made.frames, made.notes) == (12, ())
    assert [done for _, done, _ in seen] == list(range(1, 13))
    frames, times, facts = media.read_video(tmp_path / f"out_{name}")
    originals, original_times, _ = media.read_video(source)
    assert facts.codec == found
    assert facts.rate == pytest.approx(float(rate), rel=1e-3)
    np.testing.assert_allclose(
        np.array(times, float) - float(times[0]),
        np.array(original_times, float) - float(original_times[0]),
        atol=1e-3,
    )
    for frame, original in zip(frames, originals, strict=True):
        assert frame.shape == original.shape
        media.assert_painted(frame, original, tolerance=CODEC_LOSS)


@pytest.mark.parametrize(
    ("name", "encoder", "pixels"),
    [("a.mp4", "mpeg4", "yuv420p"), ("a.mp4", "libx264", "yuv444p"), ("a.webm", "libvpx", "yuv420p")],
)
def test_odd_sizes(studio, media, pictures, tmp_path: Path, name: str, encoder: str, pixels: str) -> None:
    source = media.write_video(tmp_path / name, stretch(pictures, (161, 121)), encoder=encoder, pixels=pixels)
    portrait(source, tmp_path / f"out_{name}", studio, media.quiet)
    frames, _, _ = media.read_video(tmp_path / f"out_{name}")
    assert [frame.shape for frame in frames] == [(121, 161, 3)] * 12
    media.assert_painted(crop(frames[5], media.size), np.asarray(pictures[5]), tolerance=CODEC_LOSS)


def test_a_rate_that_varies_is_kept(studio, media, pictures, tmp_path: Path) -> None:
    times = [0, 40, 90, 100, 200, 210, 300, 350, 360, 440, 500, 1000]
    source = media.write_video(tmp_path / "a.mkv", pictures, times=times)
    portrait(source, tmp_path / "b.mkv", studio, media.quiet)
    _, found, _ = media.read_video(tmp_path / "b.mkv")
    assert [round(time * 1000) for time in found] == times


def turn_clockwise(path: Path, width: int) -> None:
    """Set the matrix of an MP4's track header (ISO 14496-12, 8.3.2) to show it turned by 90 degrees clockwise."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[start : start + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, width * one, 0, 1 << 30)
    path.write_bytes(data)


def test_a_turned_video_becomes_an_upright_one(studio, media, pictures, tmp_path: Path) -> None:
    lying = [picture.transpose(Image.Transpose.ROTATE_90) for picture in pictures]
    source = media.write_video(tmp_path / "a.mp4", lying)
    turn_clockwise(source, media.size[0])
    portrait(source, tmp_path / "b.mp4", studio, media.quiet)
    frames, _, facts = media.read_video(tmp_path / "b.mp4")
    assert facts.turn == 0
    media.assert_painted(frames[3], np.asarray(pictures[3]), tolerance=CODEC_LOSS)


@pytest.mark.parametrize("matrix", [1, 5])
def test_colours_keep_their_meaning(studio, media, pictures, tmp_path: Path, matrix: int) -> None:
    """BT.709 (1) and BT.601 (5): the tag is kept, and with it the person's colours are what they were."""
    source = media.write_video(tmp_path / "a.mp4", pictures, colorspace=matrix)
    portrait(source, tmp_path / "b.mp4", studio, media.quiet)
    frames, _, facts = media.read_video(tmp_path / "b.mp4")
    assert facts.matrix == matrix
    media.assert_painted(frames[3], np.asarray(pictures[3]), tolerance=CODEC_LOSS)


def test_the_full_range_of_cameras_is_understood(studio, media, tmp_path: Path) -> None:
    """Motion JPEG uses all of 0..255; read as 16..235 the colours would be up to 17 levels off."""
    pale = [media.block((250, 60, 60), (5, 5, 5))] * 3
    source = media.write_video(tmp_path / "a.avi", pale, encoder="mjpeg", pixels="yuvj420p")
    portrait(source, tmp_path / "b.mkv", studio, media.quiet)
    frames, _, _ = media.read_video(tmp_path / "b.mkv")
    media.assert_painted(frames[1], np.asarray(pale[1]), tolerance=6)
    np.testing.assert_allclose(frames[1][:, :20], 5, atol=4)


def test_pixels_that_are_not_square_stay_so(studio, media, pictures, tmp_path: Path) -> None:
    source = media.write_video(tmp_path / "a.mkv", pictures, sample_aspect_ratio=Fraction(4, 3))
    portrait(source, tmp_path / "b.mkv", studio, media.quiet)
    assert media.read_video(tmp_path / "b.mkv")[2].aspect == Fraction(4, 3)


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_sound_is_copied_as_it_is(studio, media, pictures, tmp_path: Path) -> None:
    source = media.write_video(tmp_path / "a.mp4", pictures, sound="aac")
    made = portrait(source, tmp_path / "b.mp4", studio, media.quiet)
    assert made.notes == ()
    assert len(packets(source)) > 10
    assert packets(tmp_path / "b.mp4") == packets(source)


def test_sound_that_does_not_fit_is_left_out_and_said(studio, media, pictures, tmp_path: Path) -> None:
    source = media.write_video(tmp_path / "a.mkv", pictures, sound="aac")
    made = portrait(source, tmp_path / "b.webm", studio, media.quiet)
    assert made.frames == 12
    assert "aac" in made.notes[0]
    assert media.read_video(tmp_path / "b.webm")[2].sounds == 0


def test_an_existing_file_is_replaced(studio, media, pictures, tmp_path: Path) -> None:
    source = media.write_video(tmp_path / "a.mp4", pictures)
    (tmp_path / "b.mp4").write_bytes(b"older")
    portrait(source, tmp_path / "b.mp4", studio, media.quiet)
    assert len(media.read_video(tmp_path / "b.mp4")[0]) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_an_interrupt_leaves_the_older_file(studio, media, pictures, tmp_path: Path) -> None:
    source = media.write_video(tmp_path / "a.mp4", pictures)
    (tmp_path / "b.mp4").write_bytes(b"older")

    def stop(_step: str, done: int, _total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        portrait(source, tmp_path / "b.mp4", studio, stop)
    assert (tmp_path / "b.mp4").read_bytes() == b"older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def damaged(kind: str, path: Path, media, pictures: list[Image.Image]) -> None:
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no video\n" * 100)
    elif kind == "playlist":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    elif kind == "no header":
        media.write_video(path, pictures)
        path.write_bytes(path.read_bytes()[:-1200])
    elif kind == "no pictures":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=48000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 48000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "playlist", "no header", "no pictures"])
def test_damaged_videos_are_named_and_leave_nothing(
    studio, media, pictures, tmp_path: Path, kind: str
) -> None:
    source = tmp_path / "a.mp4"
    damaged(kind, source, media, pictures)
    with pytest.raises(UsageError, match=r"a\.mp4: "):
        portrait(source, tmp_path / "b.mp4", studio, media.quiet)
    assert not [path for path in tmp_path.iterdir() if path != source]


def test_a_video_cut_short_says_so(studio, media, pictures, tmp_path: Path) -> None:
    source = media.write_video(tmp_path / "a.avi", pictures, encoder="mpeg4")
    data = source.read_bytes()
    source.write_bytes(data[: data.index(b"movi") + (data.index(b"idx1") - data.index(b"movi")) * 2 // 3])
    made = portrait(source, tmp_path / "b.avi", studio, media.quiet)
    assert 0 < made.frames < 12
    assert "announces 12 frames" in made.notes[0]


def test_too_many_pixels_are_refused_before_any_is_decoded(
    studio, media, pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = media.write_video(tmp_path / "a.mp4", pictures)
    monkeypatch.setattr("mobiledeploy.portrait.video_reader._MAX_PIXELS", 160 * 120 - 1)
    with pytest.raises(UsageError, match="too many pixels"):
        portrait(source, tmp_path / "b.mp4", studio, media.quiet)


def test_a_target_that_cannot_be_written_is_named(studio, media, pictures, tmp_path: Path) -> None:
    source = media.write_video(tmp_path / "a.mp4", pictures)
    with pytest.raises(UsageError, match=r"b\.mp4: can't be written"):
        portrait(source, tmp_path / "nowhere" / "b.mp4", studio, media.quiet)
    with pytest.raises(UsageError, match=r"b\.png"):
        portrait(source, tmp_path / "b.png", studio, media.quiet)
