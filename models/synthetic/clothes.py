"""What clothes look like: colour, pattern, folds."""

from __future__ import annotations

import math

import numpy as np

from models.synthetic.canvas import Array, Canvas, any_colour
from models.synthetic.pose import Light, Pose

PATTERNS = ["plain", "stripes", "checks", "dots", "flowers", "patches"]
PATTERN_WEIGHTS = [0.45, 0.15, 0.1, 0.06, 0.14, 0.1]


def cloth(canvas: Canvas, surroundings: Array, pose: Pose, light: Light) -> Array:
    """Return what the clothes look like everywhere (H x W x 3): colour, pattern, folds and light."""
    rng = canvas.rng
    colour = any_colour(rng)
    kind = rng.random()
    if kind < 0.06:
        colour = np.clip(surroundings + rng.normal(0, 0.06, 3), 0, 1).astype(np.float32)
    elif kind < 0.3:
        colour = np.full(3, rng.choice([0.04, 0.1, 0.92]) + rng.uniform(-0.03, 0.05), np.float32)
    weave = _pattern(canvas, pose.height) * rng.uniform(0.3, 1)
    woven = colour + (any_colour(rng) - colour) * weave[..., None]
    across = (canvas.x - pose.x) / (2.2 * pose.shoulders)
    shade = light.on_ball(across, np.zeros_like(canvas.y) + 0.1)
    folds = canvas.noise(4 / pose.height / 3, 2 / pose.height / 3)
    folds = folds + 0.5 * canvas.fractal(1.5 / pose.height, 3)
    shade = shade * (1 + rng.uniform(0.03, 0.22) * folds)
    grain = 1 + rng.uniform(0, 0.08) * canvas.noise(canvas.size, canvas.size)
    return np.clip(woven * (shade * grain)[..., None], 0, 1)


def _pattern(canvas: Canvas, unit: float) -> Array:
    """Return where the cloth's second colour shows (H x W, 0..1): plain, stripes, checks, dots, flowers, print."""
    rng = canvas.rng
    turn, period = rng.uniform(0, np.pi), unit * rng.uniform(0.12, 0.6)
    cos, sin = math.cos(turn), math.sin(turn)
    bend = 0.3 * canvas.noise(3, 3)
    u = (cos * canvas.x + sin * canvas.y) / period + bend
    v = (cos * canvas.y - sin * canvas.x) / period + bend
    kind = rng.choice(PATTERNS, p=PATTERN_WEIGHTS)
    pattern: Array = np.zeros((canvas.size, canvas.size))
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
    return np.clip(pattern, 0, 1).astype(np.float32)
