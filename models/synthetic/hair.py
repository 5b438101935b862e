"""Hair and hats: a solid part, and strands at its edge that cover pixels in part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.synthetic.canvas import Array, Canvas, Layers, any_colour, ellipse, mixed, smoothed
from models.synthetic.pose import Light, Pose

COLOURS = [
    (14, 12, 12),
    (30, 22, 20),
    (58, 38, 27),
    (92, 60, 38),
    (140, 96, 54),
    (196, 154, 98),
    (226, 200, 150),
]
GREYS = [(70, 68, 68), (150, 148, 146), (225, 224, 222)]


@dataclass(frozen=True)
class Style:
    """How the hair is worn. Lengths are in half heights of the head."""

    colour: Array
    volume: float  # how far it stands off the skull
    length: float  # how far it falls below the centre of the head; 0: short
    hairline: float  # height on the forehead, -1 crown .. 1 chin (seen from behind)
    rough: float  # unevenness of the outline
    curl: float  # radius of the curls of single strands
    strands: int
    wind: float  # sideways pull
    hat: str  # "", "beanie", "cap" or "brim"
    bald: bool


def random_style(rng: np.random.Generator) -> Style:
    """Return a hair style: a tenth bald, a third long, some with hats."""
    grey, dyed = rng.random() < 0.15, rng.random() < 0.06
    colour = any_colour(rng) if dyed else mixed(GREYS if grey else COLOURS, rng.beta(0.8, 1.4))
    curly, long = rng.random() < 0.3, rng.random() < 0.4
    return Style(
        colour=np.clip(colour + rng.normal(0, 0.015, 3), 0.02, 1).astype(np.float32),
        volume=rng.uniform(0.05, 0.25) + (rng.uniform(0.05, 0.45) if curly else 0),
        length=rng.uniform(0.8, 4.0) if long else 0.0,
        hairline=0.9 if rng.random() < 0.04 else rng.uniform(-0.75, -0.3),
        rough=rng.uniform(0.01, 0.05) + (rng.uniform(0.02, 0.1) if curly else 0),
        curl=rng.uniform(0.05, 0.15) if curly else rng.uniform(0, 0.03),
        strands=int(rng.integers(30, 250)) + (100 if curly else 0),
        wind=rng.normal(0, 0.8) if rng.random() < 0.2 else rng.normal(0, 0.1),
        hat=str(rng.choice(["", "beanie", "cap", "brim"], p=[0.89, 0.05, 0.03, 0.03])),
        bald=bool(rng.random() < 0.08),
    )


def paint_behind(canvas: Canvas, layers: Layers, pose: Pose, style: Style, light: Light) -> None:
    """Paint what is seen behind neck and face: the mass of hair, its loose strands, a bun."""
    if style.bald:
        return
    rng = canvas.rng
    texture = _texture(canvas, pose, style, light)
    contour = _contour(style, rng)
    mass = [pose.on_head(contour)]
    if rng.random() < 0.1:
        mass.append(pose.on_head(ellipse(rng.normal(0, 0.4), -1.2 - style.volume, 0.45, 0.35)))
    layers.paint(canvas.polygons(*mass), texture * 0.75)
    _paint_strands(canvas, layers, pose, style, contour, texture)


def paint_over(canvas: Canvas, layers: Layers, pose: Pose, style: Style, light: Light) -> None:
    """Paint the hair on the skull and before the shoulders, and a hat."""
    rng = canvas.rng
    if not style.bald:
        texture = _texture(canvas, pose, style, light)
        layers.paint(canvas.polygons(*(pose.on_head(o) for o in _front(style, pose.yaw, rng))), texture)
    if style.hat:
        _paint_hat(canvas, layers, pose, style, light)


def _contour(style: Style, rng: np.random.Generator) -> Array:
    """Return the outer outline of the hair in the head's coordinates (N x 2), closed below."""
    reach = rng.uniform(1.7, 2.2)  # radians from the crown down each side
    angles = np.linspace(-reach, reach, 48)
    knots = rng.normal(0, 1, 24)
    bumps = np.interp(angles, np.linspace(-reach, reach, 24), knots)
    radius = 1 + style.volume * (0.6 + 0.4 * np.cos(angles)) + style.rough * bumps
    arc = np.stack([np.sin(angles) * radius * 1.05, -np.cos(angles) * radius], axis=1)
    if not style.length:
        return smoothed(arc, 1)
    spread = rng.uniform(1.0, 1.7)
    fall = np.linspace(0, 1, 8)[1:, None]
    sway = np.cumsum(rng.normal(0, 0.06, (7, 2)), axis=0)
    right = arc[-1] + fall * (np.array([spread, style.length]) - arc[-1])
    left = arc[0] + fall * (np.array([-spread, style.length * rng.uniform(0.8, 1.1)]) - arc[0])
    right[:, 0] += sway[:, 0] + style.wind * fall[:, 0] ** 2
    left[:, 0] += sway[:, 1] + style.wind * fall[:, 0] ** 2
    return smoothed(np.concatenate([arc, right, left[::-1]]), 1)


def _front(style: Style, yaw: float, rng: np.random.Generator) -> list[Array]:
    """Return outlines, in the head's coordinates, of the hair over the forehead and down the sides."""
    angles = np.linspace(-1.75, 1.75, 40)
    radius = (
        1
        + 0.9 * style.volume
        + style.rough * np.interp(angles, np.linspace(-1.75, 1.75, 20), rng.normal(0, 1, 20))
    )
    outer = np.stack([np.sin(angles) * radius, -np.cos(angles) * radius], axis=1)
    parting, fringe = rng.uniform(-0.5, 0.5), rng.normal(0, 0.07, 9)
    u = np.linspace(0.93, -0.93, 9)
    dip = 0.45 * np.abs(u - parting - 0.3 * yaw) ** rng.uniform(1, 3) * rng.uniform(0.2, 1.3)
    inner = np.stack([u, np.clip(style.hairline + dip + fringe, -0.95, 0.95)], axis=1)
    outlines = [np.concatenate([outer, inner]).astype(np.float32)]
    if style.length > 1.2 and rng.random() < 0.7:  # locks before the shoulders
        for side in (-1, 1):
            end = style.length * rng.uniform(0.6, 1)
            wide = rng.uniform(0.3, 0.6)
            lock = [(side * 0.8, -0.4), (side * (1.05 + style.volume), -0.3), (side * (0.9 + wide), 0.9),
                    (side * (0.8 + wide) + style.wind * 0.4, end), (side * 0.7 + style.wind * 0.4, end * 0.9),
                    (side * 0.85, 0.6)]  # fmt: skip
            outlines.append(smoothed(lock, 2))
    return outlines


def _paint_strands(
    canvas: Canvas, layers: Layers, pose: Pose, style: Style, contour: Array, texture: Array
) -> None:
    """Paint single strands that start inside the outline and leave it: bent, curled, pulled by the wind."""
    rng = canvas.rng
    count = style.strands
    start = contour[rng.integers(0, len(contour), count)] * rng.uniform(0.8, 1, (count, 1))
    outward = start / np.maximum(np.linalg.norm(start, axis=1, keepdims=True), 1e-6)
    tangent = np.stack([-outward[:, 1], outward[:, 0]], axis=1) * rng.choice([-1, 1], (count, 1))
    heading = outward * rng.uniform(0.2, 1, (count, 1)) + tangent * rng.uniform(0, 1, (count, 1))
    heading[:, 0] += 0.5 * style.wind
    reach = (0.08 + 0.4 * style.volume + 0.06 * style.length) * rng.gamma(2, 0.4, (count, 1, 1))
    step = np.linspace(0, 1, 7)[None, :, None]
    fall = np.array([0.0, 0.5]) if style.length else np.array([0.0, 0.15])
    lines = start[:, None] + reach * (step * heading[:, None] + step**2 * fall)
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1)) + step * rng.uniform(2, 12, (count, 1, 1))
    lines = lines + style.curl * step * np.concatenate([np.cos(phase), np.sin(phase)], axis=2)
    placed = pose.on_head(lines.reshape(-1, 2)).reshape(count, 7, 2)
    levels = rng.uniform(0.15, 0.8, count)
    layers.paint(canvas.strokes(list(placed), rng.uniform(0.006, 0.025) * pose.height, levels), texture)


def _texture(canvas: Canvas, pose: Pose, style: Style, light: Light) -> Array:
    """Return what the hair looks like everywhere (H x W x 3): streaks, sheen and light."""
    rng = canvas.rng
    u, v = pose.head_grid(canvas)
    streaks = canvas.noise(min(20 / pose.height, canvas.size), 3 + 4 * rng.random())
    clumps = canvas.fractal(1 / pose.height + 2 * style.curl / pose.height * 8, 3)
    sheen = np.exp(-(((v + 0.55) / 0.25) ** 2)) * rng.uniform(0, 0.5)
    shade = light.on_ball(np.clip(u, -1.2, 1.2) * 0.7, np.clip(v, -1.2, 1.2) * 0.7)
    tone = shade * (1 + 0.22 * streaks + rng.uniform(0.1, 0.4) * clumps + sheen)
    lit: Array = style.colour * np.clip(tone, 0.15, 2)[..., None]
    return np.clip(lit, 0, 1)


def _paint_hat(canvas: Canvas, layers: Layers, pose: Pose, style: Style, light: Light) -> None:
    rng = canvas.rng
    u, v = pose.head_grid(canvas)
    shade = light.on_ball(u * 0.8, v * 0.6) * (1 + 0.1 * canvas.fractal(30, 2))
    cloth = np.clip(any_colour(rng) * shade[..., None], 0, 1)
    wide, edge, top = 1.08 + 0.5 * style.volume, rng.uniform(-0.6, -0.3), rng.uniform(-1.6, -1.25)
    crown = [
        (-wide, edge),
        (-wide, -0.75),
        (-0.7 * wide, top),
        (0.7 * wide, top),
        (wide, -0.75),
        (wide, edge),
    ]
    layers.paint(canvas.polygons(pose.on_head(smoothed(crown, 2))), cloth)
    if style.hat == "cap":
        peak = smoothed([(pose.yaw - 0.9, edge), (pose.yaw + 0.9, edge), (1.8 * pose.yaw + 0.6, edge + 0.3),
                         (1.8 * pose.yaw - 0.6, edge + 0.3)], 2)  # fmt: skip
        layers.paint(canvas.polygons(pose.on_head(peak)), cloth * 0.7)
    elif style.hat == "brim":
        brim = ellipse(0, edge, rng.uniform(1.6, 2.3), rng.uniform(0.12, 0.35))
        layers.paint(canvas.polygons(pose.on_head(brim)), cloth * 0.85)
