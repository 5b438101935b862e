"""What is behind the person: walls, rooms, streets, woods, stages, clutter; in or out of focus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from models.synthetic.canvas import Array, Canvas, any_colour, as_bytes, blurred, ellipse, rotated, unit_range


def picture(canvas: Canvas) -> Array:
    """Return a random background, H x W x 3."""
    rng = canvas.rng
    kind = SCENES[rng.choice(len(SCENES), p=WEIGHTS)]
    scene = kind(canvas)
    if rng.random() < 0.2 and kind is not _wall:
        scene = _with_things(canvas, scene, int(rng.integers(1, 9)))
    sigma = (
        canvas.size
        / 256
        * float(rng.choice([0.4, 1.5, 4, 9], p=[0.2, 0.25, 0.3, 0.25]))
        * rng.uniform(0.5, 1.5)
    )
    scene = blurred(scene, sigma)
    light = 1 + rng.uniform(0, 0.5) * canvas.noise(2, 2) + rng.uniform(0, 0.15) * canvas.noise(3, 3)
    grain = rng.uniform(0, 0.04) * canvas.fractal(40, 3)
    return np.clip(scene * light[..., None] + grain[..., None], 0, 1).astype(np.float32)


def _gradient(canvas: Canvas, first: Array, second: Array) -> Array:
    """Return a blend of two colours across the picture in a random direction."""
    turn = canvas.rng.uniform(0, 2 * np.pi)
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    ramp = 0.5 + 0.5 * (cos * (canvas.x / canvas.aspect * 2 - 1) + sin * (canvas.y * 2 - 1))
    return np.asarray(first + (second - first) * np.clip(ramp, 0, 1)[..., None], dtype=np.float32)


def _wall(canvas: Canvas) -> Array:
    """A plain or painted wall, a studio backdrop, with a glow behind the person."""
    rng = canvas.rng
    colour = (
        any_colour(rng)
        if rng.random() < 0.6
        else np.full(3, rng.choice([0.03, 0.12, 0.5, 0.8, 0.95, 1.0]), np.float32)
    )
    scene = _gradient(canvas, colour, np.clip(colour + rng.normal(0, 0.12, 3), 0, 1))
    glow = np.exp(-((canvas.x - canvas.aspect / 2) ** 2 + (canvas.y - 0.4) ** 2) / rng.uniform(0.05, 0.5))
    scene = scene + rng.uniform(0, 0.4) * glow[..., None]
    stains = float(rng.choice([0, 0.03, 0.15])) * canvas.fractal(rng.uniform(2, 12), 5)
    return np.clip(scene + stains[..., None], 0, 1)


def _bricks(canvas: Canvas) -> Array:
    """A wall of bricks, tiles or panels."""
    rng = canvas.rng
    high = rng.uniform(0.02, 0.12)
    wide = high * rng.uniform(1, 4)
    row = np.floor(canvas.y / high)
    along = canvas.x / wide + 0.5 * (row % 2)
    joint = ((canvas.y / high) % 1 < 0.12) | (along % 1 < 0.12 * high / wide * 2)
    tone = rng.uniform(-1, 1, (97,))[((np.floor(along) * 31 + row * 17) % 97).astype(int)] * rng.uniform(
        0, 0.15
    )
    colour, mortar = any_colour(rng), any_colour(rng)
    scene = np.where(joint[..., None], mortar, colour + tone[..., None])
    wall: Array = np.clip(scene + 0.1 * canvas.fractal(20, 3)[..., None], 0, 1)
    return wall


def _outdoors(canvas: Canvas) -> Array:
    """Sky over hills, foliage, sand or road."""
    rng = canvas.rng
    sky = _gradient(canvas, np.array([0.45, 0.65, 0.9], np.float32), np.array([0.9, 0.9, 0.92], np.float32))
    sky = sky * rng.uniform(0.5, 1.1) + 0.12 * np.clip(canvas.fractal(3, 5), 0, 1)[..., None]
    scene, colour = sky, any_colour(rng)
    for depth in np.sort(rng.uniform(0.1, 1, rng.integers(1, 4))):
        ridge = depth + 0.15 * canvas.noise(int(rng.integers(3, 9)), 2)[:1]
        land = np.clip((canvas.y - ridge) * canvas.size / 2, 0, 1)[..., None]
        leaves = canvas.fractal(rng.uniform(8, 50), 4, 0.8)
        green = np.array([0.25, 0.35, 0.12]) if rng.random() < 0.6 else colour
        ground = np.clip(
            green * rng.uniform(0.5, 1.6) * (1 + rng.uniform(0.3, 1.2) * leaves)[..., None], 0, 1
        )
        scene = scene + (ground - scene) * land
    return np.asarray(np.clip(scene, 0, 1), dtype=np.float32)


def _foliage(canvas: Canvas) -> Array:
    """Leaves and the light between them, everywhere."""
    rng = canvas.rng
    dark, bright = any_colour(rng) * 0.5, any_colour(rng)
    leaves = np.clip(0.5 + canvas.fractal(rng.uniform(3, 30), 5, 0.75), 0, 1)
    scene: Array = dark + (bright - dark) * leaves[..., None]
    spots = np.clip(canvas.noise(40, 40) * 5 - 3, 0, 1)
    scene = scene + spots[..., None] * rng.uniform(0, 0.8)
    return np.clip(scene, 0, 1)


def _drawn(base: Array, draw_things: Callable[[ImageDraw.ImageDraw], None]) -> Array:
    """Return `base` with something drawn on it by Pillow."""
    image = Image.fromarray(as_bytes(base))
    draw_things(ImageDraw.Draw(image))
    return unit_range(image)


def _paint(colour: Array) -> tuple[int, int, int]:
    red, green, blue = np.rint(np.clip(colour, 0, 1) * 255).astype(int).tolist()
    return red, green, blue


def _room(canvas: Canvas) -> Array:
    """A wall with floor line, windows, frames, shelves, doors and lamps."""
    rng, aspect = canvas.rng, canvas.aspect

    def furniture(draw: ImageDraw.ImageDraw) -> None:
        if rng.random() < 0.5:
            edge, slope = rng.uniform(0.6, 0.95), rng.normal(0, 0.08)
            floor = [(0, edge), (aspect, edge + slope), (aspect, 1), (0, 1)]
            draw.polygon(canvas.pixels(floor), fill=_paint(any_colour(rng)))
        for _ in range(rng.integers(2, 8)):
            x, y = rng.uniform(-0.1, aspect), rng.uniform(-0.1, 0.8)
            wide, high = rng.uniform(0.05, 0.6), rng.uniform(0.05, 0.7)
            frame, inside = any_colour(rng), any_colour(rng)
            border = rng.uniform(0.005, 0.03)
            corners = np.array([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)])
            draw.polygon(canvas.pixels(corners), fill=_paint(frame))
            inner = corners + border * np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
            draw.polygon(canvas.pixels(inner), fill=_paint(inside))
            for bar in np.linspace(0, 1, rng.integers(2, 7))[1:-1]:
                if rng.random() < 0.7:
                    line = [(x + bar * wide, y), (x + bar * wide, y + high)]
                    draw.line(
                        canvas.pixels(line), fill=_paint(frame), width=max(1, int(border * canvas.size))
                    )
                else:
                    line = [(x, y + bar * high), (x + wide, y + bar * high)]
                    draw.line(
                        canvas.pixels(line), fill=_paint(frame), width=max(1, int(border * canvas.size))
                    )

    return _drawn(_wall(canvas), furniture)


def _street(canvas: Canvas) -> Array:
    """Buildings with grids of windows under a sky."""
    rng = canvas.rng

    def buildings(draw: ImageDraw.ImageDraw) -> None:
        for _ in range(rng.integers(2, 6)):
            x, wide, top = rng.uniform(-0.2, canvas.aspect), rng.uniform(0.15, 0.8), rng.uniform(-0.3, 0.6)
            draw.polygon(
                canvas.pixels([(x, top), (x + wide, top), (x + wide, 1), (x, 1)]),
                fill=_paint(any_colour(rng)),
            )
            glass, step = any_colour(rng), rng.uniform(0.03, 0.12)
            lean = rng.normal(0, 0.1)
            for wy in np.arange(max(top, 0) + step / 2, 1, step * rng.uniform(1, 1.6)):
                for wx in np.arange(x + step / 3, x + wide - step / 2, step):
                    skew = lean * (wx - x)
                    pane = [(wx, wy + skew), (wx + 0.6 * step, wy + skew), (wx + 0.6 * step, wy + 0.6 * step + skew),
                            (wx, wy + 0.6 * step + skew)]  # fmt: skip
                    draw.polygon(canvas.pixels(pane), fill=_paint(glass))

    return _drawn(_outdoors(canvas), buildings)


def _stage(canvas: Canvas) -> Array:
    """Darkness with beams and coloured lights."""
    rng = canvas.rng
    scene = _gradient(canvas, any_colour(rng) * 0.3, any_colour(rng) * 0.7)
    for _ in range(rng.integers(1, 6)):
        x, turn = rng.uniform(0, canvas.aspect), rng.normal(0, 0.5)
        off_axis = (canvas.x - x) * np.cos(turn) - canvas.y * np.sin(turn)
        beam = np.exp(-((off_axis / (0.02 + rng.uniform(0.05, 0.3) * canvas.y)) ** 2))
        scene = scene + (beam * rng.uniform(0.1, 0.7))[..., None] * any_colour(rng)
    return np.clip(scene, 0, 1)


def _bokeh(canvas: Canvas) -> Array:
    """Discs of light out of focus."""
    rng = canvas.rng

    def discs(draw: ImageDraw.ImageDraw) -> None:
        radius = rng.uniform(0.01, 0.08)
        for _ in range(rng.integers(10, 60)):
            spot = ellipse(rng.uniform(0, canvas.aspect), rng.uniform(0, 1), radius, radius, points=16)
            draw.polygon(canvas.pixels(spot), fill=_paint(any_colour(rng)))

    return _drawn(_gradient(canvas, any_colour(rng) * 0.6, any_colour(rng)), discs)


def _clutter(canvas: Canvas) -> Array:
    """Overlapping shapes of all sizes and colours."""
    return _with_things(canvas, _gradient(canvas, any_colour(canvas.rng), any_colour(canvas.rng)), 40)


def _with_things(canvas: Canvas, scene: Array, count: int) -> Array:
    """Return the scene with things in it: discs, boxes, poles, trunks, blobs of skin and hair colours."""
    rng = canvas.rng

    def things(draw: ImageDraw.ImageDraw) -> None:
        for _ in range(count):
            x, y = rng.uniform(0, canvas.aspect), rng.uniform(0, 1)
            wide, high = rng.gamma(2, 0.06), rng.gamma(2, 0.06)
            kind, turn = rng.random(), rng.normal(0, 0.6)
            if kind < 0.3:
                shape = ellipse(x, y, wide, high, turn)
            elif kind < 0.75:
                shape = _box(x, y, wide, high, turn)
            else:  # a pole or a trunk
                shape = _box(x, y, 0.1 * wide + 0.005, 2, 0.3 * turn)
            colour = (
                any_colour(rng)
                if rng.random() < 0.8
                else np.array([0.75, 0.55, 0.42]) * rng.uniform(0.3, 1.2)
            )
            draw.polygon(canvas.pixels(shape), fill=_paint(colour))

    drawn = _drawn(scene, things)
    return np.clip(drawn * (1 + 0.12 * canvas.fractal(12, 4))[..., None], 0, 1)


def _box(x: float, y: float, half_width: float, half_height: float, turn: float) -> Array:
    """Return the outline (4 x 2) of a box about (x, y), turned by `turn` radians."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array([half_width, half_height])
    return np.asarray(rotated(corners, turn) + np.array([x, y]))


SCENES = [_wall, _bricks, _outdoors, _foliage, _room, _street, _stage, _bokeh, _clutter]
WEIGHTS = [0.27, 0.07, 0.14, 0.09, 0.18, 0.08, 0.06, 0.06, 0.05]
