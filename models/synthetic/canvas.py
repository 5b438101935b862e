"""What the pictures are drawn with: anti-aliased masks, smooth noise, and layers that keep an exact alpha.

Coordinates are those of the photo, in units of its height: y from 0 (top) to 1, x from 0 to `aspect`. The
photo is squeezed into a square of `size` pixels, as it is before it reaches a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.floating[Any]]  # H x W x 3 colours or H x W masks, 0..1; float32 where it is stored

SUPERSAMPLE = 3  # masks are drawn at three times the size and averaged: ten levels of coverage an edge pixel


class Canvas:
    """The grid of one picture, and its source of randomness."""

    def __init__(self, size: int, aspect: float, rng: np.random.Generator) -> None:
        self.size, self.aspect, self.rng = size, aspect, rng
        centres = (np.arange(size, dtype=np.float32) + 0.5) / size
        self.y: Array = centres[:, None]
        self.x: Array = centres[None, :] * np.float32(aspect)

    def pixels(self, points: ArrayLike, scale: float = 1.0) -> list[tuple[float, float]]:
        """Return N x 2 points as pixel coordinates of a picture `scale` times as large."""
        side = self.size * scale
        factors = np.array([side / self.aspect, side])
        return [(x, y) for x, y in (np.asarray(points, dtype=np.float64) * factors - 0.5).tolist()]

    def polygons(self, *outlines: ArrayLike) -> Array:
        """Return the mask of the union of polygons, each N x 2 points."""
        image = self._mask_image()
        draw = ImageDraw.Draw(image)
        for outline in outlines:
            draw.polygon(self.pixels(outline, SUPERSAMPLE), fill=255)
        return self._coverage(image)

    def strokes(self, lines: Sequence[ArrayLike], width: float, levels: ArrayLike = 1.0) -> Array:
        """Return the mask of lines, `width` thick; `levels` (one, or one a line) is how opaque they are."""
        image = self._mask_image()
        draw = ImageDraw.Draw(image)
        pixels = max(1, round(width * self.size * SUPERSAMPLE))
        for line, level in zip(lines, np.broadcast_to(levels, len(lines)), strict=True):
            draw.line(
                self.pixels(line, SUPERSAMPLE), fill=round(255 * float(level)), width=pixels, joint="curve"
            )
        return self._coverage(image)

    def _mask_image(self) -> Image.Image:
        return Image.new("L", (self.size * SUPERSAMPLE,) * 2)

    @staticmethod
    def _coverage(image: Image.Image) -> Array:
        return unit_range(image.reduce(SUPERSAMPLE))

    def noise(self, cells_x: float, cells_y: float) -> Array:
        """Return smooth noise, about -1..1, with so many bumps across and down the picture."""
        shape = (max(2, round(cells_y)), max(2, round(cells_x)))
        grid = self.rng.uniform(-1, 1, shape).astype(np.float32)
        return np.asarray(Image.fromarray(grid).resize((self.size, self.size), Image.Resampling.BICUBIC))

    def fractal(self, cells: float, octaves: int = 4, gain: float = 0.55) -> Array:
        """Return noise of several scales, about -1..1, the largest with `cells` bumps a side."""
        total = np.zeros((self.size, self.size), np.float32)
        for octave in range(octaves):
            scale = min(cells * 2**octave, self.size)
            total += np.float32(gain**octave) * self.noise(scale, scale)
        total *= np.float32(1 - gain)
        return total


class Layers:
    """Layers painted over each other: colour multiplied by alpha (H x W x 3), and alpha (H x W)."""

    def __init__(self, size: int) -> None:
        self.colour: Array = np.zeros((size, size, 3), np.float32)
        self.alpha: Array = np.zeros((size, size), np.float32)

    def paint(self, mask: Array, colour: ArrayLike) -> None:
        """Paint a colour, or a picture of colours, over what is there (Porter and Duff 1984, "over")."""
        self.alpha = mask + self.alpha * (1 - mask)
        self._blend(mask, mask, colour)

    def tint(self, mask: Array, colour: ArrayLike) -> None:
        """Paint only where something is already; alpha stays as it is (Porter and Duff 1984, "atop")."""
        self._blend(mask, mask * self.alpha, colour)

    def _blend(self, covered: Array, added: Array, colour: ArrayLike) -> None:
        rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
        if not len(rows):
            return
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]  # most layers are small
        picture = np.broadcast_to(np.asarray(colour), self.colour.shape)[box].astype(np.float32, copy=False)
        self.colour[box] *= 1 - covered[box][..., None]
        self.colour[box] += added[box][..., None] * picture


def unit_range(image: Image.Image) -> Array:
    """Return an image of bytes as float32 in 0..1."""
    values: NDArray[np.float32] = np.asarray(image, dtype=np.float32) / np.float32(255)
    return values


def as_bytes(values: Array) -> NDArray[np.uint8]:
    """Return values in 0..1 (others are clipped) as bytes."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def blurred(picture: Array, sigma: float) -> Array:
    """Return an H x W or H x W x 3 float picture blurred by about a Gaussian, `sigma` in pixels."""
    if sigma < 0.2:
        return picture
    planes = picture[..., None] if picture.ndim == 2 else picture
    blur = ImageFilter.GaussianBlur(float(sigma))
    # Pillow blurs bytes only. The 8 bits suffice for masks and colours.
    image = Image.fromarray(as_bytes(planes).squeeze()).filter(blur)
    return unit_range(image)


def ellipse(
    x: float, y: float, radius_x: float, radius_y: float, turn: float = 0.0, points: int = 32
) -> Array:
    """Return an ellipse's outline, `points` x 2, turned by `turn` radians."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    outline = np.stack([radius_x * np.cos(angles), radius_y * np.sin(angles)], axis=1)
    return rotated(outline, turn) + np.array([x, y], np.float32)


def rotated(points: ArrayLike, turn: float) -> Array:
    """Return N x 2 points turned by `turn` radians about the origin."""
    cos, sin = np.cos(turn), np.sin(turn)
    turned = np.asarray(points) @ np.array([[cos, sin], [-sin, cos]])
    return np.asarray(turned, dtype=np.float32)


def limb(joints: ArrayLike, radii: Sequence[float]) -> list[Array]:
    """Return outlines whose union is a tapered limb through the joints (N x 2), a radius at each."""
    joints = np.asarray(joints, dtype=np.float32)
    outlines = [ellipse(x, y, r, r, points=16) for (x, y), r in zip(joints.tolist(), radii, strict=True)]
    for a, b, ra, rb in zip(joints[:-1], joints[1:], radii[:-1], radii[1:], strict=True):
        along = (b - a) / max(float(np.hypot(*(b - a))), 1e-6)
        across = np.array([-along[1], along[0]], np.float32)
        outlines.append(np.stack([a + ra * across, b + rb * across, b - rb * across, a - ra * across]))
    return outlines


def smoothed(outline: ArrayLike, rounds: int = 3) -> Array:
    """Return a closed outline (N x 2) with its corners cut (Chaikin 1974), twice the points a round."""
    points = np.asarray(outline, dtype=np.float32)
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1)
        points = points.reshape(-1, 2)
    return points


def mixed(palette: Sequence[Sequence[int]], position: float) -> Array:
    """Return the colour (3 values, 0..1) at a position, 0..1, along a palette of 0..255 RGB colours."""
    stops = np.asarray(palette, dtype=np.float32) / 255
    at = np.linspace(0, 1, len(stops))
    return np.array([np.interp(position, at, stops[:, c]) for c in range(3)], np.float32)


def any_colour(rng: np.random.Generator) -> Array:
    """Return a colour as things have it: mostly muted, sometimes grey or strong."""
    grey = rng.beta(1.1, 1.1)
    saturation = rng.choice([0.05, 0.3, 0.8], p=[0.35, 0.4, 0.25]) * rng.uniform(0.5, 1)
    hue = rng.uniform(0, 2 * np.pi) + np.array([0, 2, 4]) * np.pi / 3
    return np.asarray(np.clip(grey + saturation * 0.5 * np.cos(hue), 0.02, 0.98), dtype=np.float32)
