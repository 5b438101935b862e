"""From a photo, GIF, video or a folder of them to the same with another background."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mobiledeploy.errors import CheckFailedError, MobileDeployError, UsageError
from mobiledeploy.portrait import photo, video_writer
from mobiledeploy.portrait.animation import is_animation, transform_animation
from mobiledeploy.portrait.compose import Background
from mobiledeploy.portrait.network import Network
from mobiledeploy.portrait.order import batches, in_order
from mobiledeploy.portrait.photo import Photo, read_photo, write_photo
from mobiledeploy.portrait.refine import refine
from mobiledeploy.portrait.video import transform_video
from mobiledeploy.preprocessing import list_images
from mobiledeploy.progress import Progress


@dataclass(frozen=True)
class Studio:
    """A network and a background: what a portrait is made with."""

    network: Network
    background: Background

    def paint(self, pictures: Sequence[Image.Image]) -> list[Image.Image]:
        """Return the pictures (RGB, upright) with the background changed, each in its own size."""
        alphas = self.network.alphas(pictures)
        return [
            self.background(picture, refine(alpha, picture))
            for picture, alpha in zip(pictures, alphas, strict=True)
        ]

    def paint_stream(self, pictures: Iterable[Image.Image]) -> Iterator[Image.Image]:
        """Paint pictures one after another, several at a time."""
        for painted in in_order(self.paint, batches(pictures, self.network.batch), self.network.workers):
            yield from painted


@dataclass(frozen=True)
class Made:
    """A file that was written: how many frames it has (1 for a photo), and what a person should know of it."""

    path: Path
    frames: int
    notes: tuple[str, ...] = ()


def portrait(source: Path, target: Path, studio: Studio, progress: Progress) -> Made:
    """Make one file: a photo from a photo, a GIF from a GIF, a video from a video.

    Raises UsageError where the source can't be read or the target's suffix is of another kind; then, or on an
    interrupt, the target stays as it was.
    """
    if source.suffix.lower() in video_writer.SUFFIXES:
        require_suffix(target, video_writer.SUFFIXES, "a video")
        made = transform_video(
            source,
            target,
            studio.paint,
            batch=studio.network.batch,
            workers=studio.network.workers,
            progress=lambda done, total: progress(source.name, done, total),
        )
        return Made(target, made.frames, made.notes)
    progress(source.name, 0, 0)
    if is_animation(source):
        require_suffix(target, (".gif",), "an animation")
        return Made(target, transform_animation(source, target, studio.paint_stream))
    require_suffix(target, photo.SUFFIXES, "a photo")
    original = read_photo(source)
    write_photo(Photo(studio.paint([original.picture])[0], original.icc_profile), target)
    return Made(target, 1)


def require_suffix(target: Path, suffixes: tuple[str, ...], kind: str) -> None:
    """Raise UsageError unless the target's name has one of the suffixes."""
    if target.suffix.lower() not in suffixes:
        raise UsageError(
            f"{target}: {kind} can't be written under this name", hint=f"Suffixes: {', '.join(suffixes)}."
        )


def process(
    source: Path,
    output: Path,
    make: Callable[[Path, Path], Made],
    on_done: Callable[[Made | MobileDeployError], None],
    *,
    suffixes: tuple[str, ...] = photo.SUFFIXES + video_writer.SUFFIXES,
    added: str = "",
) -> None:
    """Call `make` on a file, or on each file of a folder that has one of the suffixes; `output` is of the same kind.

    In a folder a file that can't be used does not stop the others: `on_done` is told of it, and a CheckFailedError
    at the end names all of them. Files that are written to a folder keep their names, with `added` after them; this
    goes for a single file too, where `output` is a folder that exists.
    """
    if not source.is_dir():
        target = output / (source.name + added) if output.is_dir() else output
        _require_apart(source, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        on_done(make(source, target))
        return
    files = list_images(source, suffixes)
    _require_apart(source, output)
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: is a file, and {source} is a folder")
    output.mkdir(parents=True, exist_ok=True)
    failed = []
    for file in files:
        try:
            on_done(make(file, output / (file.name + added)))
        except (UsageError, CheckFailedError) as error:  # of this file; a lost device ends it all
            failed.append(file.name)
            on_done(error)
    if failed:
        raise CheckFailedError(f"{len(failed)} of {len(files)} files could not be made: {', '.join(failed)}")


def _require_apart(source: Path, target: Path) -> None:
    if target.resolve() == source.resolve():
        raise UsageError(f"{target}: would take the place of the original", hint="Choose another -o.")
