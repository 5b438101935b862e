"""Videos: decoded, changed and encoded as a stream, with size, times, colours and sound kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

from mobiledeploy.portrait.order import batches, in_order
from mobiledeploy.portrait.video_reader import TimedFrame, opened, read_facts, read_frames, upright
from mobiledeploy.portrait.video_writer import VideoWriter, created, sound_copier

_BATCH_PIXELS = 1 << 26  # of the frames that are changed together, so that large ones don't fill the memory

Transform = Callable[[Sequence[Image.Image]], list[Image.Image]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Transformed:
    """How many frames were written, and what a person should know of them."""

    frames: int
    notes: tuple[str, ...]


def transform_video(
    source: Path, target: Path, transform: Transform, *, batch: int, workers: int, progress: Progress
) -> Transformed:
    """Write a video of the pictures that `transform` makes of the source's, `batch` at a time in `workers` threads.

    `progress` gets the frames done, and how many there are or 0. Raises UsageError where the source can't be read to
    its end or the target can't be written; then, or on an interrupt, the target stays as it was.
    """
    facts = read_facts(source)
    size = max(1, min(batch, _BATCH_PIXELS // (facts.size[0] * facts.size[1])))
    notes = []
    with _replacing(target) as part, opened(source) as reader, created(part, target) as container:
        writer = VideoWriter(container, facts, target.suffix.lower())
        sound = next(iter(reader.streams.audio), None)
        copy_sound = sound_copier(container, sound) if sound is not None else None
        if sound is not None and copy_sound is None:
            notes.append(f"its sound is left out: {target.suffix} takes no {sound.codec_context.name}")
        frames = read_frames(source, reader, copy_sound)

        def change(batch: Sequence[TimedFrame]) -> list[tuple[av.VideoFrame, Fraction | None]]:
            changed = transform([upright(frame, facts.turn) for frame, _ in batch])
            return [
                (writer.encodable(picture), time) for picture, (_, time) in zip(changed, batch, strict=True)
            ]

        # Closed before the containers are, so that no thread is at work on them any more.
        with closing(in_order(change, batches(frames, size), workers)) as changed_batches:
            for changed in changed_batches:
                for frame, time in changed:
                    writer.write(frame, time)
                progress(writer.frames, facts.frames)
        writer.finish()
    if writer.frames < facts.frames:
        notes.append(f"its header announces {facts.frames} frames, of which {writer.frames} are there")
    return Transformed(writer.frames, tuple(notes))


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give a file beside the target to write; it takes the target's place when the block ends well, else it goes."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
