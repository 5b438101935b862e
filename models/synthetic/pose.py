"""How a person stands before the camera, and how the light falls. Lengths are in units of the photo's height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.synthetic.canvas import Array, Canvas, rotated


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
    if rng.random() < 0.88:
        height = rng.uniform(0.14, 0.28)
        y = rng.uniform(max(0.2, height * 1.1), 0.52)
    else:
        height = rng.uniform(0.08, 0.14)
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
    return Light((direction / np.linalg.norm(direction)).astype(np.float32), rng.uniform(0.4, 0.9))
