"""Videos as a stream of frames with their times.

FFmpeg's libraries come with PyAV. A file is opened only as one of the containers named here and by its path alone,
so that a playlist in disguise can't make FFmpeg read other files or addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream
from PIL import Image

from mobiledeploy.errors import UsageError

_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
}
_MAX_PIXELS = 1 << 26  # of a frame; 8K has half as many
_DEFAULT_RATE = Fraction(25)
_TURNS = {  # by degrees counterclockwise
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class VideoFacts:
    """What the header and the first frame say of a video.

    Attributes:
        size: (width, height) in pixels, upright.
        turn: how far a frame is to be turned to be upright, in degrees counterclockwise.
        rate: frames a second; the mean where it varies.
        time_base: seconds a tick of the source's clock.
        frames: how many there are as the header has it; 0 where it doesn't say.
        pixel_aspect: width to height of a pixel; None where it doesn't say.
        colours: matrix, primaries and transfer curve of the source's YUV, as FFmpeg numbers them, by the name of
            PyAV's attribute.
    """

    size: tuple[int, int]
    turn: int
    rate: Fraction
    time_base: Fraction
    frames: int
    pixel_aspect: Fraction | None
    colours: dict[str, int]


OnSound = Callable[[av.Packet], None]


class TimedFrame(NamedTuple):
    """A decoded frame, and when it is shown: seconds, None where the file doesn't say."""

    frame: av.VideoFrame
    time: Fraction | None


def read_facts(path: Path) -> VideoFacts:
    """Read what a video is; UsageError where it is missing, damaged, too large, or has no pictures."""
    with opened(path) as container:
        stream = _pictures(path, container)
        frame = next(container.decode(stream), None)
        if frame is None:
            raise UsageError(f"{path}: no picture in it can be read")
        turn = round(frame.rotation) % 360
        sideways = turn in (90, 270)
        aspect = stream.codec_context.sample_aspect_ratio
        return VideoFacts(
            size=(frame.height, frame.width) if sideways else (frame.width, frame.height),
            turn=turn,
            rate=stream.average_rate or _DEFAULT_RATE,
            time_base=stream.time_base or 1 / _DEFAULT_RATE,
            frames=stream.frames,
            pixel_aspect=1 / aspect if aspect and sideways else aspect,
            colours={
                "colorspace": int(frame.colorspace),
                "color_primaries": int(frame.color_primaries),
                "color_trc": int(frame.color_trc),
            },
        )


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a video; what FFmpeg finds wrong with it is a UsageError that names the file."""
    with _reading(path), av.open(f"file:{path}", container_options=_OPTIONS) as container:
        yield container


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except av.FFmpegError as error:
        raise UsageError(f"{path}: can't be read as a video: {error.strerror}") from error


def _pictures(path: Path, container: InputContainer) -> VideoStream:
    stream: VideoStream | None = container.streams.best("video")
    if stream is None:
        raise UsageError(f"{path}: has no pictures in it")
    if stream.codec_context.width * stream.codec_context.height > _MAX_PIXELS:
        raise UsageError(f"{path}: too many pixels")
    return stream


def read_frames(path: Path, container: InputContainer, on_sound: OnSound | None) -> Iterator[TimedFrame]:
    """Yield an opened video's frames; packets of its first stream of sound go to `on_sound` as they come.

    Raises UsageError where the file is damaged.
    """
    pictures = _pictures(path, container)
    pictures.thread_type = "AUTO"
    for packet in _packets(path, container, [pictures, *(container.streams.audio[:1] if on_sound else ())]):
        if on_sound and packet.stream is not pictures:
            if packet.dts is not None:  # the empty packet at the end has none
                on_sound(packet)
            continue
        with _reading(path):
            frames = packet.decode()
        for frame in frames:
            yield TimedFrame(frame, None if frame.pts is None else frame.pts * frame.time_base)


def _packets(path: Path, container: InputContainer, streams: list[Stream]) -> Iterator[av.Packet]:
    """Yield the packets of streams; what the caller does with them is not taken for the file's fault."""
    with _reading(path):
        yield from container.demux(streams)


def upright(frame: av.VideoFrame, turn: int) -> Image.Image:
    """Return a frame as a picture in RGB."""
    picture: Image.Image = frame.reformat(format="rgb24", threads=1).to_image()
    return picture.transpose(_TURNS[turn]) if turn in _TURNS else picture
