"""Pictures with alphas for training: gathered once into an array file, then read in augmented batches."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from models.synthetic import portrait

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

Pictures = NDArray[np.uint8]  # N x H x W x 4: red, green, blue, alpha
Progress = Callable[[int, int], None]  # (done, total)


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a network's input: (pixel - mean) * scale, in the given colour order."""

    color: str
    mean: tuple[float, ...]
    scale: float

    @classmethod
    def of_network(cls, toml: Path) -> Preprocessing:
        """Return what the table [preprocessing] of a network's TOML file says."""
        table: dict[str, Any] = tomllib.loads(toml.read_text(encoding="utf-8"))["preprocessing"]
        return cls(table["color"], tuple(table["mean"]), table["scale"])

    def __call__(self, rgb: Tensor) -> Tensor:
        """Return the input for N x 3 x H x W RGB, 0..255 float32; same shape."""
        ordered = rgb.flip(1) if self.color == "bgr" else rgb
        return (ordered - torch.tensor(self.mean, device=rgb.device).view(1, 3, 1, 1)) * self.scale


def synthetic_pictures(first_seed: int, count: int, size: int, workers: int) -> Iterator[Pictures]:
    """Yield the synthetic portraits of `count` seeds, H x W x 4 each, made in `workers` processes."""
    seeds = range(first_seed, first_seed + count)
    if workers <= 1:
        yield from (_synthetic(seed, size=size) for seed in seeds)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(partial(_synthetic, size=size), seeds, chunksize=8)


def _synthetic(seed: int, *, size: int) -> Pictures:
    picture, alpha = portrait(seed, size)
    return np.dstack([picture, np.rint(alpha * 255).astype(np.uint8)])


def alpha_of(photo: Path) -> Path:
    """Return where the alpha of a photo NAME.jpg is: NAME_alpha.png beside it."""
    return photo.with_name(f"{photo.stem}_alpha.png")


def photos_in(folder: Path) -> list[Path]:
    """Return the photos NAME.jpg or NAME.png of a folder that have a NAME_alpha.png beside them, by name."""
    names = [*folder.glob("*.jpg"), *folder.glob("*.png")]
    return sorted(path for path in names if alpha_of(path).exists())


def read_photo(photo: Path, size: int) -> Pictures:
    """Return a photo with its alpha, squeezed to `size` x `size`, H x W x 4.

    Raises OSError where a file is no image, ValueError where the two differ in size; both name it.
    """
    try:
        picture = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
        alpha = Image.open(alpha_of(photo)).convert("L")
    except OSError as error:  # pillow's own message does not always name the file
        raise OSError(f"{photo} or its alpha can't be read: {error}") from error
    if picture.size != alpha.size:
        raise ValueError(f"{photo} is {picture.size} pixels, but its alpha is {alpha.size}")
    return _resized(picture, alpha, size)


def resized(picture: Pictures, size: int) -> Pictures:
    """Return a picture (H x W x 4) at `size` x `size`."""
    if picture.shape[:2] == (size, size):
        return picture
    return _resized(Image.fromarray(picture[..., :3]), Image.fromarray(picture[..., 3]), size)


def _resized(
    picture: Image.Image, alpha: Image.Image, size: int, box: tuple[float, float, float, float] | None = None
) -> Pictures:
    """Return S x S x 4 from `box` of both. Colour and alpha apart: Pillow weighs RGBA's colours by alpha."""
    parts = [image.resize((size, size), Image.Resampling.BILINEAR, box=box) for image in (picture, alpha)]
    return np.dstack([np.asarray(part) for part in parts])


def gather(
    pictures: Iterable[Pictures], count: int, size: int, path: Path, progress: Progress | None = None
) -> Pictures:
    """Write `count` pictures into one .npy file, unless it stands, and return it mapped: N x H x W x 4."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.partial")
        shape = (count, size, size, 4)
        rows = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        for done, picture in enumerate(pictures, start=1):
            rows[done - 1] = picture
            if progress:
                progress(done, count)
        rows.flush()
        unfinished.replace(path)
    mapped: Pictures = np.load(path, mmap_mode="r")
    return mapped


def batch(pictures: Pictures, seed: int, step: int, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the augmented batch of a step: RGB N x 3 x S x S, 0..255, and alpha N x 1 x S x S, 0..1; float32.

    It depends on nothing but the arguments, so that training can go on from any step. Every picture is used
    once before any is used again.
    """
    rng = np.random.default_rng((seed, step))
    made = [augmented(pictures[index], size, rng) for index in indices(len(pictures), seed, step, count)]
    stacked = torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float()
    return stacked[:, :3].contiguous(), stacked[:, 3:].contiguous() / 255


def indices(total: int, seed: int, step: int, count: int) -> list[int]:
    """Return which of `total` pictures make the batch of a step: an endless row of shuffles, cut into batches."""
    wanted = range(step * count, (step + 1) * count)
    rounds = {number // total for number in wanted}
    shuffles = {r: np.random.default_rng((seed, 0x5EED, r)).permutation(total) for r in rounds}
    return [int(shuffles[number // total][number % total]) for number in wanted]


def augmented(picture: Pictures, size: int, rng: np.random.Generator) -> Pictures:
    """Return a random crop of a picture, perhaps mirrored, its colours changed a little; S x S x 4."""
    height, width = picture.shape[:2]
    part = rng.uniform(0.7, 1, 2) if rng.random() < 0.6 else np.ones(2)
    left, top = rng.uniform(0, 1 - part) * (width, height)
    box = (left, top, left + part[0] * width, top + part[1] * height)
    out = _resized(Image.fromarray(picture[..., :3]), Image.fromarray(picture[..., 3]), size, box)
    if rng.random() < 0.5:
        out = out[:, ::-1]
    gain, shift = rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, 3), rng.uniform(-15, 15)
    colours = np.clip(out[..., :3] * gain.astype(np.float32) + np.float32(shift), 0, 255).astype(np.uint8)
    return np.dstack([colours, out[..., 3]])
