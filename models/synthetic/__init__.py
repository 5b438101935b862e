"""Synthetic portraits with exact alphas, all procedural: nothing in them was photographed or scanned.

A picture depends on its seed and size alone. The person is painted in layers, each with its coverage, so
that alpha is known exactly; the scene is alpha * person + (1 - alpha) * background (Porter and Duff 1984),
and only then comes the camera with its noise, blur and JPEG.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.synthetic import background, camera, person
from models.synthetic.canvas import Array, Canvas, Layers, as_bytes, blurred

ASPECTS = [16 / 9, 3 / 2, 4 / 3, 1.0, 3 / 4, 2 / 3]  # of common photos, width : height
NOBODY = 0.03  # the share of pictures without a person


@dataclass(frozen=True)
class Scene:
    """A picture before the camera. All float32, 0..1."""

    person: Array  # H x W x 3, multiplied by alpha
    alpha: Array  # H x W
    background: Array  # H x W x 3

    def composite(self) -> Array:
        """Return alpha * person + (1 - alpha) * background, H x W x 3."""
        return self.person + (1 - self.alpha[..., None]) * self.background


def scene(seed: int, size: int = 256) -> Scene:
    """Return the scene of a seed, `size` pixels a side."""
    return _scene(_canvas(seed, size))


def portrait(seed: int, size: int = 256) -> tuple[NDArray[np.uint8], Array]:
    """Return (picture, alpha) of a seed: H x W x 3 uint8 RGB, and H x W float32 in 0..1; H = W = `size`."""
    canvas = _canvas(seed, size)
    made = _scene(canvas)
    return camera.photograph(canvas, made.composite()), made.alpha


def write_portraits(folder: Path, count: int, *, seed: int, size: int = 256) -> list[Path]:
    """Write `count` pictures of the seeds from `seed` on as NAME.jpg with NAME_alpha.png; return the pictures.

    Each file appears whole or not at all, the picture after its alpha.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(seed, seed + count):
        picture, alpha = portrait(number, size)
        path = folder / f"portrait_{number:06d}.jpg"
        matte = as_bytes(alpha)
        _save(Image.fromarray(matte), path.with_name(f"{path.stem}_alpha.png"), format="PNG")
        _save(Image.fromarray(picture), path, format="JPEG", quality=95)
        paths.append(path)
    return paths


def _canvas(seed: int, size: int) -> Canvas:
    rng = np.random.default_rng(seed)
    return Canvas(size, float(rng.choice(ASPECTS)) * rng.uniform(0.95, 1.05), rng)


def _scene(canvas: Canvas) -> Scene:
    rng = canvas.rng
    behind = background.picture(canvas)
    if rng.random() < NOBODY:
        nobody = Layers(canvas.size)
        return Scene(nobody.colour, nobody.alpha, behind)
    surroundings = behind.mean(axis=(0, 1))
    layers = person.paint(canvas, surroundings)
    focus = canvas.size / 256 * max(0.0, rng.normal(0.3, 0.4))
    colour, alpha = blurred(layers.colour, focus), blurred(layers.alpha, focus)
    ambience = 1 + rng.uniform(0, 0.5) * (surroundings / max(float(surroundings.mean()), 0.05) - 1)
    colour = np.minimum(colour * (ambience * rng.uniform(0.75, 1.15)), alpha[..., None]).astype(np.float32)
    if rng.random() < 0.2:
        behind = behind * (1 - rng.uniform(0.2, 0.6) * _shadow(canvas, alpha))[..., None]
    return Scene(colour, alpha, behind.astype(np.float32))


def _shadow(canvas: Canvas, alpha: Array) -> Array:
    """Return the person's shadow on a wall behind: moved aside, larger blur, H x W in 0..1."""
    shift = int(canvas.rng.integers(-canvas.size // 10, canvas.size // 10 + 1))
    return np.roll(blurred(alpha, canvas.size / 256 * canvas.rng.uniform(2, 8)), shift, axis=1)


def _save(image: Image.Image, path: Path, **options: object) -> None:
    """Save an image under a temporary name, then rename it."""
    partial = path.with_name(f".{path.name}.partial")
    image.save(partial, **options)  # type: ignore[arg-type]
    partial.replace(path)
