"""A head: its outline, ears, skin under the light, features, glasses and beards."""

from __future__ import annotations

import numpy as np

from models.synthetic.canvas import Array, Canvas, Layers, any_colour, blurred, ellipse
from models.synthetic.pose import Light, Pose


def outline(pose: Pose, rng: np.random.Generator) -> Array:
    """Return the head's outline (64 x 2): an oval with a narrower jaw and, turned aside, a nose."""
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    v = -np.cos(angles)
    jaw = 1 - rng.uniform(0.1, 0.35) * np.clip(v, 0, 1) ** 2
    u = np.sign(np.sin(angles)) * np.abs(np.sin(angles)) ** rng.uniform(0.8, 1) * jaw
    profile = np.clip(abs(pose.yaw) - 0.55, 0, 0.45) * 2
    facing = (np.sign(u) == np.sign(pose.yaw)) * profile
    nose, lips = np.exp(-(((v - 0.2) / 0.13) ** 2)), np.exp(-(((v - 0.62) / 0.1) ** 2))
    u += np.sign(pose.yaw) * facing * (0.28 * nose + 0.1 * lips)
    return pose.on_head(np.stack([u, v], axis=1))


def paint(canvas: Canvas, layers: Layers, pose: Pose, skin: Array, light: Light) -> None:
    """Paint ears, head and face."""
    rng = canvas.rng
    u, v = pose.head_grid(canvas)
    shade = light.on_ball(u * 0.95, v * 0.9) * (1 + 0.05 * canvas.noise(1 / pose.width, 1 / pose.width))
    lit = skin * shade[..., None]
    lit += rng.uniform(0, 0.15) * (np.clip(shade - 0.85, 0, 0.15) * 6)[..., None]  # highlights

    ears = [side for side in (-1, 1) if side * pose.yaw < 0.35]
    ear_size = rng.uniform(0.8, 1.3)
    outlines = [pose.on_head(ellipse(0.98 * side, 0.1, 0.13 * ear_size, 0.2 * ear_size)) for side in ears]
    if outlines:
        layers.paint(canvas.polygons(*outlines), lit * 0.88)
    head = canvas.polygons(outline(pose, rng))
    layers.paint(head, np.clip(lit, 0, 1))
    if rng.random() < 0.8:  # else a face out of focus, blurred for privacy, or from behind
        _paint_features(canvas, layers, pose, skin, shade)
        _paint_extras(canvas, layers, pose, skin, head)


def _paint_features(canvas: Canvas, layers: Layers, pose: Pose, skin: Array, shade: Array) -> None:
    """Paint eyes, brows, nose and mouth, moved with the turn of the head."""
    rng, h = canvas.rng, pose.height
    shift, narrow = 0.55 * pose.yaw, 1 - 0.35 * abs(pose.yaw)
    eye_v, apart = rng.uniform(-0.12, 0.02), rng.uniform(0.36, 0.46) * narrow
    open_by = float(rng.choice([0.02, 0.06, 0.08]))
    brow = rng.uniform(0.2, 0.7)
    eyes = [shift - apart, shift + apart]
    dim = shade[..., None]

    def at(*ellipses: Array) -> Array:
        return canvas.polygons(*(pose.on_head(e) for e in ellipses))

    sockets = at(*(ellipse(u, eye_v, 0.25 * narrow, 0.14) for u in eyes))
    layers.tint(blurred(sockets, h * 12) * 0.35, skin * 0.5)
    whites = at(*(ellipse(u, eye_v, 0.17 * narrow, open_by) for u in eyes))
    layers.tint(whites, rng.uniform(0.55, 0.9) * dim)
    irises = at(*(ellipse(u + 0.02, eye_v, 0.08 * narrow, min(0.08, open_by)) for u in eyes))
    layers.tint(irises, rng.uniform(0, 0.35, 3).astype(np.float32) * dim)
    brows = [
        pose.on_head([(u - 0.2 * narrow, eye_v - 0.17), (u, eye_v - 0.25), (u + 0.2 * narrow, eye_v - 0.18)])
        for u in eyes
    ]
    layers.tint(canvas.strokes(brows, rng.uniform(0.05, 0.12) * h) * 0.8, skin * brow)

    nose = pose.on_head([(shift * 1.1, eye_v), (shift * 1.35 + 0.06, 0.3), (shift * 1.35 - 0.08, 0.34)])
    layers.tint(blurred(canvas.strokes([nose], 0.09 * h), h * 6) * 0.5, skin * 0.55)
    lips = skin * np.array([0.95, 0.7, 0.7], np.float32) * rng.uniform(0.6, 1.0)
    mouth_v, wide = rng.uniform(0.52, 0.62), rng.uniform(0.2, 0.34) * narrow
    layers.tint(at(ellipse(shift, mouth_v, wide, rng.uniform(0.05, 0.1))), lips * dim)
    if rng.random() < 0.3:
        layers.tint(at(ellipse(shift, mouth_v, 0.8 * wide, 0.035)), float(rng.choice([0.15, 0.9])) * dim)


def _paint_extras(canvas: Canvas, layers: Layers, pose: Pose, skin: Array, head: Array) -> None:
    """Paint, on some faces, a beard or stubble, and glasses."""
    rng = canvas.rng
    shift = 0.45 * pose.yaw
    if rng.random() < 0.25:
        u, v = pose.head_grid(canvas)
        low = np.clip((v - 0.25 - 0.5 * np.clip(1 - np.abs(u - shift) * 1.6, 0, 1)) * 6, 0, 1)
        off_lips = np.clip(np.hypot((u - shift) / 0.45, (v - 0.62) / 0.2) - 0.3, 0, 1)
        rough = np.clip(0.8 + 0.5 * canvas.fractal(60, 2), 0, 1)
        beard = head * low * np.clip(off_lips + 0.4, 0, 1) * rough * rng.uniform(0.3, 1)
        layers.tint(beard, skin * rng.uniform(0.1, 0.55))
    if rng.random() < 0.2:
        apart, wide = 0.42 * (1 - 0.3 * abs(pose.yaw)), rng.uniform(0.26, 0.36)
        rims = [ellipse(shift + side * apart, -0.05, wide, rng.uniform(0.17, 0.28)) for side in (-1, 1)]
        rims = [pose.on_head(rim) for rim in rims]
        frame = any_colour(rng) * 0.4
        if rng.random() < 0.4:
            layers.tint(canvas.polygons(*rims) * rng.uniform(0.7, 1), frame)
        temples = [
            pose.on_head([(shift + side * (apart + wide), -0.08), (0.95 * side, -0.05)]) for side in (-1, 1)
        ]
        closed = [np.concatenate([rim, rim[:1]]) for rim in rims]
        layers.tint(canvas.strokes(closed + temples, rng.uniform(0.03, 0.07) * pose.height), frame)
