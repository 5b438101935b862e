"""A person: pose, body and clothes. Lengths are in units of the photo's height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.synthetic import face, hair
from models.synthetic.canvas import Array, Canvas, Layers, any_colour, limb, mixed, rotated, smoothed

SKIN = [
    (255, 226, 205),
    (241, 199, 168),
    (224, 172, 138),
    (198, 140, 104),
    (150, 98, 68),
    (104, 66, 46),
    (62, 38, 28),
]


@dataclass(frozen=True)
class Pose:
    """Where a person stands and how the head is held."""

    x: float  # centre of the head
    y: float
    height: float  # half the height of the head, chin to crown
    width: float  # half its width
    roll: float  # radians, about the centre of the head
    yaw: float  # -1 profile to the left .. 1 profile to the right
    shoulders: float  # half the width of the shoulders
    lean: float  # how far the body is to the side of the head

    def on_head(self, points: ArrayLike) -> Array:
        """Return the photo's coordinates of N x 2 points on the head: (±1, 0) its sides, (0, 1) the chin."""
        scaled = np.asarray(points, dtype=np.float32) * np.array([self.width, self.height], np.float32)
        return rotated(scaled, self.roll) + np.array([self.x, self.y], np.float32)

    def head_grid(self, canvas: Canvas) -> tuple[Array, Array]:
        """Return each pixel's coordinates on the head, as `on_head` takes them (two H x W arrays)."""
        dx, dy = canvas.x - self.x, canvas.y - self.y
        cos, sin = np.float32(np.cos(self.roll)), np.float32(np.sin(self.roll))
        return (cos * dx + sin * dy) / self.width, (cos * dy - sin * dx) / self.height

    @property
    def neck_y(self) -> float:
        """Where the neck meets the collar."""
        return self.y + 1.3 * self.height


@dataclass(frozen=True)
class Light:
    """Where the light comes from (a unit vector, x right, y down, z to the camera) and how much is ambient."""

    direction: Array
    ambient: float

    def on_ball(self, u: Array, v: Array) -> Array:
        """Return the light (H x W, 0..1) on a ball of which (u, v) are coordinates, its rim at radius 1."""
        depth = np.sqrt(np.clip(1 - u * u - v * v, 0.05, 1))
        length = np.sqrt(u * u + v * v + depth * depth)
        x, y, z = (float(value) for value in self.direction)
        lambert = np.clip((u * x + v * y + depth * z) / length, 0, 1)
        return np.asarray(self.ambient + (1 - self.ambient) * lambert, dtype=np.float32)


def random_pose(rng: np.random.Generator, aspect: float) -> Pose:
    """Return a pose: close head-and-shoulders shots mostly, some half-length or farther away."""
    if rng.random() < 0.65:
        height = rng.uniform(0.12, 0.27)
        y = rng.uniform(max(0.2, height * 1.1), 0.52)
    else:
        height = rng.uniform(0.055, 0.13)
        y = rng.uniform(height * 1.4, 0.45)
    return Pose(
        x=aspect * float(np.clip(rng.normal(0.5, 0.13), 0.15, 0.85)),
        y=y,
        height=height,
        width=height * rng.uniform(0.66, 0.84),
        roll=rng.normal(0, 0.14),
        yaw=float(np.clip(rng.normal(0, 0.4), -1, 1)),
        shoulders=height * rng.uniform(1.5, 2.6),
        lean=height * rng.normal(0, 0.3),
    )


def random_light(rng: np.random.Generator) -> Light:
    """Return light from above or the sides, soft to hard."""
    direction = np.array([rng.normal(0, 0.7), rng.normal(-0.4, 0.35), rng.uniform(0.3, 1)])
    return Light((direction / np.linalg.norm(direction)).astype(np.float32), rng.uniform(0.25, 0.85))


def paint(canvas: Canvas, surroundings: Array) -> Layers:
    """Paint a random person; `surroundings` (3) is the background's mean colour, for clothes that match it."""
    rng = canvas.rng
    layers, pose, light = Layers(canvas.size), random_pose(rng, canvas.aspect), random_light(rng)
    skin = mixed(SKIN, rng.random()) * rng.uniform(0.85, 1.1) + rng.normal(0, 0.02, 3)
    skin = np.clip(skin, 0, 1).astype(np.float32)
    style = hair.random_style(rng)
    cloth = _cloth(canvas, surroundings, pose, light)

    hair.paint_behind(canvas, layers, pose, style, light)
    if rng.random() < 0.12:
        _paint_hood(canvas, layers, pose, cloth)
    _paint_neck(canvas, layers, pose, skin, light)
    if pose.neck_y + 5.5 * pose.height < 1:
        _paint_legs(canvas, layers, pose, surroundings)
    _paint_torso(canvas, layers, pose, cloth, skin)
    face.paint(canvas, layers, pose, skin, light)
    hair.paint_over(canvas, layers, pose, style, light)
    if rng.random() < (0.8 if pose.height < 0.13 else 0.2):
        _paint_arms(canvas, layers, pose, cloth, skin)
    return layers


def _cloth(canvas: Canvas, surroundings: Array, pose: Pose, light: Light) -> Array:
    """Return what the clothes look like everywhere (H x W x 3): colour, pattern, folds and light."""
    rng = canvas.rng
    colour = any_colour(rng)
    kind = rng.random()
    if kind < 0.15:
        colour = np.clip(surroundings + rng.normal(0, 0.06, 3), 0, 1).astype(np.float32)
    elif kind < 0.35:
        colour = np.full(3, rng.choice([0.04, 0.1, 0.92]) + rng.uniform(-0.03, 0.05), np.float32)
    weave = _pattern(canvas, pose.height) * rng.uniform(0.3, 1)
    cloth = colour + (any_colour(rng) - colour) * weave[..., None]
    across = (canvas.x - pose.x) / (2.2 * pose.shoulders)
    shade = light.on_ball(across, np.zeros_like(canvas.y) + 0.1)
    folds = canvas.noise(4 / pose.height / 3, 2 / pose.height / 3) + 0.5 * canvas.fractal(
        1.5 / pose.height, 3
    )
    shade = shade * (1 + rng.uniform(0.03, 0.22) * folds)
    grain = 1 + rng.uniform(0, 0.08) * canvas.noise(canvas.size, canvas.size)
    return np.clip(cloth * (shade * grain)[..., None], 0, 1)


def _pattern(canvas: Canvas, unit: float) -> Array:
    """Return where the cloth's second colour shows (H x W, 0..1): plain, stripes, checks, dots, flowers, print."""
    rng = canvas.rng
    turn, period = rng.uniform(0, np.pi), unit * rng.uniform(0.12, 0.6)
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    bend = 0.3 * canvas.noise(3, 3)
    u = (cos * canvas.x + sin * canvas.y) / period + bend
    v = (cos * canvas.y - sin * canvas.x) / period + bend
    kind = rng.choice(
        ["plain", "stripes", "checks", "dots", "flowers", "patches"], p=[0.45, 0.15, 0.1, 0.06, 0.14, 0.1]
    )
    if kind == "stripes":
        pattern = np.sin(2 * np.pi * u) * 4 + rng.uniform(-2, 2)
    elif kind == "checks":
        pattern = np.sign(np.sin(2 * np.pi * u)) * 0.5 + np.sign(np.sin(2 * np.pi * v)) * 0.5
    elif kind == "dots":
        pattern = (np.sin(2 * np.pi * u) * np.sin(2 * np.pi * v) - 0.5) * 8
    elif kind == "flowers":
        pattern = canvas.fractal(1.2 / period, 2) * 8 - 0.5
    elif kind == "patches":
        pattern = canvas.noise(0.8 / unit, 0.8 / unit) * 12
    else:
        pattern = np.full((canvas.size, canvas.size), -1)
    return np.clip(pattern, 0, 1).astype(np.float32)


def _paint_neck(canvas: Canvas, layers: Layers, pose: Pose, skin: Array, light: Light) -> None:
    half = pose.width * canvas.rng.uniform(0.5, 0.75)
    base = pose.x + pose.lean * 0.5
    outline = [
        pose.on_head([[-half / pose.width, 0.3]])[0],
        pose.on_head([[half / pose.width, 0.3]])[0],
        (base + 1.1 * half, pose.neck_y),
        (base + 2.0 * half, pose.neck_y + 0.5 * pose.height),
        (base - 2.0 * half, pose.neck_y + 0.5 * pose.height),
        (base - 1.1 * half, pose.neck_y),
    ]
    shade = light.on_ball((canvas.x - base) / (1.3 * half), np.zeros_like(canvas.y))
    under_chin = 0.6 + 0.4 * np.clip((canvas.y - pose.y - pose.height) / (0.6 * pose.height), 0, 1)
    layers.paint(canvas.polygons(outline), skin * (shade * under_chin)[..., None])


def _paint_torso(canvas: Canvas, layers: Layers, pose: Pose, cloth: Array, skin: Array) -> None:
    """Paint shoulders and trunk, then what the neckline leaves bare, and a collar, jacket or scarf."""
    rng = canvas.rng
    h, s, base = pose.height, pose.shoulders, pose.x + pose.lean
    neck = pose.width * rng.uniform(0.7, 1.1)
    slope = rng.uniform(0.15, 0.65) * h
    waist = s * rng.uniform(0.7, 1.1)
    top, tilt = pose.neck_y, rng.normal(0, 0.12) * h
    outline = np.array([
        (base - neck, top), (base + neck, top),
        (base + 0.85 * s, top + slope + tilt), (base + s, top + slope + tilt + 0.35 * h),
        (base + 1.04 * s, top + slope + 1.6 * h), (base + waist, top + 4 * h), (base + waist, top + 6 * h),
        (base - waist, top + 6 * h), (base - waist, top + 4 * h), (base - 1.04 * s, top + slope + 1.6 * h),
        (base - s, top + slope - tilt + 0.35 * h), (base - 0.85 * s, top + slope - tilt),
    ])  # fmt: skip
    layers.paint(canvas.polygons(smoothed(outline)), cloth)

    centre, depth = pose.x + 0.6 * pose.lean, h * rng.choice([0.12, 0.5, 1.1, 1.8], p=[0.45, 0.3, 0.15, 0.1])
    opening = smoothed(
        [(centre - neck, top - 0.1 * h), (centre + neck, top - 0.1 * h), (centre, top + depth)], 2
    )
    beneath = skin * 0.9 if rng.random() < 0.7 else any_colour(rng)
    layers.tint(canvas.polygons(opening), beneath)
    kind = rng.random()
    if kind < 0.2:  # lapels or an open collar
        sides = [[(centre - d * neck, top), (centre, top + 2 * depth), (centre - d * 0.5 * neck, top + 0.9 * depth)]
                 for d in (-1, 1)]  # fmt: skip
        layers.tint(canvas.polygons(*sides), cloth * rng.uniform(0.5, 0.85))
        layers.tint(canvas.strokes([[(centre, top + depth), (centre, top + 6 * h)]], 0.06 * h), cloth * 0.6)
    elif kind < 0.3:  # scarf or turtleneck
        wrap = smoothed([(centre - 1.2 * neck, top - 0.35 * h), (centre + 1.2 * neck, top - 0.35 * h),
                         (centre + 1.5 * neck, top + 0.3 * h), (centre - 1.5 * neck, top + 0.3 * h)])  # fmt: skip
        layers.paint(
            canvas.polygons(wrap),
            np.clip(any_colour(rng) * (1 + 0.3 * canvas.noise(30, 12))[..., None], 0, 1),
        )
    elif kind < 0.37:  # straps, as of dungarees or a bag
        lines = [[(base + d * 0.55 * s, top), (base + d * 0.5 * s, top + 5 * h)] for d in (-1, 1)]
        layers.tint(canvas.strokes(lines, 0.18 * h), any_colour(rng))


def _paint_hood(canvas: Canvas, layers: Layers, pose: Pose, cloth: Array) -> None:
    outline = pose.on_head(
        [(-1.2, 1.6), (-1.4, 0), (-0.9, -1.15), (0, -1.4), (0.9, -1.15), (1.4, 0), (1.2, 1.6)]
    )
    layers.paint(canvas.polygons(smoothed(outline)), cloth * 0.8)


def _paint_legs(canvas: Canvas, layers: Layers, pose: Pose, surroundings: Array) -> None:
    rng, h = canvas.rng, pose.height
    hips, y = pose.x + pose.lean, pose.neck_y + 5 * h
    stance = h * rng.uniform(0.4, 1.2)
    colour = any_colour(rng) if rng.random() < 0.8 else surroundings
    shade = 1 + 0.15 * canvas.fractal(1 / h, 3)
    legs = [
        outline
        for side in (-1, 1)
        for outline in limb(
            [
                (hips + side * 0.5 * h, y),
                (hips + side * stance, y + 3.5 * h),
                (hips + side * stance, y + 7 * h),
            ],
            [0.75 * h, 0.5 * h, 0.35 * h],
        )
    ]
    layers.paint(canvas.polygons(*legs), np.clip(colour * shade[..., None], 0, 1))


def _paint_arms(canvas: Canvas, layers: Layers, pose: Pose, cloth: Array, skin: Array) -> None:
    """Paint one or two arms: hanging, akimbo, raised or held in front, some with a thing in the hand."""
    rng, h = canvas.rng, pose.height
    bare = rng.random() < 0.35
    thick = h * rng.uniform(0.36, 0.55)
    for side in (-1, 1):
        if rng.random() < 0.25:
            continue
        shoulder = np.array([pose.x + pose.lean + side * 0.88 * pose.shoulders, pose.neck_y + 0.75 * h])
        # Angles from straight down, outwards positive: hanging, akimbo, raised, in front of the chest.
        upper, fore = [(0.15, 0.1), (0.7, -0.7), (0.8, 2.6), (0.25, -1.9)][rng.integers(4)] + rng.normal(
            0, 0.25, 2
        )
        elbow = shoulder + 2.6 * h * np.array([side * np.sin(upper), np.cos(upper)])
        wrist = elbow + 2.3 * h * np.array([side * np.sin(fore), np.cos(fore)])
        hand = wrist + (wrist - elbow) * 0.22
        layers.paint(canvas.polygons(*limb([wrist, hand], [0.26 * h, 0.3 * h])), skin * rng.uniform(0.75, 1))
        if rng.random() < 0.15:
            thing = limb([hand - (0, 0.6 * h), hand + (0, 0.4 * h)], [h * rng.uniform(0.1, 0.4), 0.12 * h])
            layers.paint(canvas.polygons(*thing), any_colour(rng))
        shade = (0.8 + 0.2 * np.clip(1 + canvas.noise(4, 4), 0, 1))[..., None]
        fore_arm = canvas.polygons(*limb([elbow, wrist], [0.8 * thick, 0.55 * thick]))
        layers.paint(fore_arm, skin * shade if bare else cloth * shade)
        layers.paint(canvas.polygons(*limb([shoulder, elbow], [thick, 0.82 * thick])), cloth * shade)
