"""GIFs, frame by frame, with their durations and their loop."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

from mobiledeploy.preprocessing import open_image, upright_rgb
from ncnn_tools.files import write_atomically

# Given the frames in order, gives as many in the same order.
Transform = Callable[[Iterable[Image.Image]], Iterator[Image.Image]]


def is_animation(path: Path) -> bool:
    """Say whether a file is a GIF of several frames; UsageError where it can't be read."""
    with open_image(path) as image:
        return image.format == "GIF" and getattr(image, "n_frames", 1) > 1


def transform_animation(source: Path, target: Path, transform: Transform) -> int:
    """Write a GIF with the frames that `transform` makes; returns how many frames it has read.

    Frames that come out equal to the one before are joined with it, so that the time stays the same.
    Raises UsageError where the source can't be read; then, or on an interrupt, the target stays as it was.
    """
    with open_image(source) as image:
        durations = [frame.info.get("duration", 0) for frame in ImageSequence.Iterator(image)]
        options: dict[str, Any] = {"duration": durations}
        if "loop" in image.info:  # how often it is repeated, 0 for ever; without it, it is shown once
            options["loop"] = image.info["loop"]
        made = transform(upright_rgb(frame) for frame in ImageSequence.Iterator(image))
        first = next(made)
        data = io.BytesIO()
        first.save(data, "GIF", save_all=True, append_images=made, **options)
    write_atomically(target, data.getvalue())
    return len(durations)
