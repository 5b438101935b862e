"""Pictures to a video file: H.264, or what its container takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorRange
from PIL import Image

from mobiledeploy.errors import UsageError
from mobiledeploy.portrait.video_reader import OnSound, VideoFacts

# Suffix → FFmpeg's name of the container, and the encoders for it in order of preference.
_CONTAINERS = {
    ".mp4": ("mp4", ("libx264", "mpeg4")),
    ".m4v": ("mp4", ("libx264", "mpeg4")),
    ".mov": ("mov", ("libx264", "mpeg4")),
    ".mkv": ("matroska", ("libx264", "mpeg4")),
    ".webm": ("webm", ("libvpx",)),
    ".avi": ("avi", ("mpeg4",)),  # it keeps no times, which H.264's order of frames would need
}
SUFFIXES = tuple(_CONTAINERS)
# Quick, at a quality that shows no difference from the source.
_OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "18"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "8", "b": "8M"},
    "mpeg4": {"qmin": "2", "qmax": "4", "b": "50M"},
}


class VideoWriter:
    """Encodes pictures into an open container; made before anything is written to it."""

    def __init__(self, container: OutputContainer, facts: VideoFacts, suffix: str) -> None:
        encoder = next((name for name in _CONTAINERS[suffix][1] if name in av.codecs_available), None)
        if encoder is None:
            raise UsageError(f"PyAV as it is installed here has no encoder for {suffix}", hint="Choose .avi.")
        self._container = container
        self._stream = container.add_stream(encoder, rate=facts.rate, options=_OPTIONS[encoder])
        self._stream.width, self._stream.height = facts.size
        # H.264 with halved colours takes even sizes only.
        odd = any(extent % 2 for extent in facts.size)
        self._stream.pix_fmt = "yuv444p" if encoder == "libx264" and odd else "yuv420p"
        # The source's own clock keeps varying rates; MPEG-4 knows none finer than 1/65535 s, and AVI frames only.
        self._time_base = 1 / facts.rate if encoder == "mpeg4" else facts.time_base
        context = self._stream.codec_context
        context.time_base = self._time_base
        if facts.pixel_aspect:
            context.sample_aspect_ratio = facts.pixel_aspect
        context.color_range = ColorRange.MPEG
        for name, value in facts.colours.items():
            setattr(context, name, value)
        self._matrix = facts.colours["colorspace"]
        self._step = max(1, round(1 / facts.rate / self._time_base))
        self._last = -self._step
        self.frames = 0

    def encodable(self, picture: Image.Image) -> av.VideoFrame:
        """Return a picture in the encoder's colours; any thread may call it."""
        frame = av.VideoFrame.from_image(picture)
        return frame.reformat(
            format=self._stream.pix_fmt,
            dst_colorspace=self._matrix,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )

    def write(self, frame: av.VideoFrame, time: Fraction | None) -> None:
        """Encode the next frame, shown at `time` in seconds, or one step after the last."""
        wanted = self._last + self._step if time is None else round(time / self._time_base)
        self._last = frame.pts = max(self._last + 1, wanted) if self.frames else wanted
        frame.time_base = self._time_base
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


def sound_copier(container: OutputContainer, sound: AudioStream) -> OnSound | None:
    """Add a stream of sound to be copied as it is; returns what takes its packets, None where the codec won't fit."""
    if sound.codec_context.name not in container.supported_codecs:
        return None
    copy = container.add_stream_from_template(sound)

    def write(packet: av.Packet) -> None:
        packet.stream = copy
        container.mux(packet)

    return write


@contextmanager
def created(part: Path, target: Path) -> Iterator[OutputContainer]:
    """Open the file `part` to write what will be `target`; UsageError, naming that, where it can't be written."""
    try:
        with av.open(f"file:{part}", "w", format=_CONTAINERS[target.suffix.lower()][0]) as container:
            yield container
    except (av.FFmpegError, OSError) as error:
        raise UsageError(f"{target}: can't be written: {error.strerror}") from error
