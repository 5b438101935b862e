"""Neck, trunk, arms and legs, and the clothes on them."""

from __future__ import annotations

import numpy as np

from models.synthetic.canvas import Array, Canvas, Layers, any_colour, limb, smoothed
from models.synthetic.pose import Light, Pose

# Upper arm and forearm from straight down, outwards positive, radians: hanging, akimbo, raised, in front.
ARM_ANGLES = np.array([(0.15, 0.1), (0.7, -0.7), (0.8, 2.6), (0.25, -1.9)])


def paint_neck(canvas: Canvas, layers: Layers, pose: Pose, skin: Array, light: Light) -> None:
    """Paint the neck, in the shadow of the chin."""
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


def paint_torso(canvas: Canvas, layers: Layers, pose: Pose, cloth: Array, skin: Array) -> None:
    """Paint shoulders and trunk, with the neckline."""
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

    paint_neckline(canvas, layers, pose, cloth, skin, neck)


def paint_neckline(
    canvas: Canvas, layers: Layers, pose: Pose, cloth: Array, skin: Array, neck: float
) -> None:
    """Paint what the neckline leaves bare, `neck` half its width, and a collar, scarf or straps."""
    rng = canvas.rng
    h, top, middle = pose.height, pose.neck_y, pose.x + 0.6 * pose.lean
    depth = h * float(rng.choice([0.12, 0.5, 1.1, 1.8], p=[0.45, 0.3, 0.15, 0.1]))
    corners = [(middle - neck, top - 0.1 * h), (middle + neck, top - 0.1 * h), (middle, top + depth)]
    opening = canvas.polygons(smoothed(corners, 2))
    layers.tint(opening, skin * 0.9 if rng.random() < 0.7 else any_colour(rng))
    kind = rng.random()
    if kind < 0.2:  # lapels or an open collar
        sides = [
            [
                (middle - d * neck, top),
                (middle, top + 2 * depth),
                (middle - d * 0.5 * neck, top + 0.9 * depth),
            ]
            for d in (-1, 1)
        ]
        layers.tint(canvas.polygons(*sides), cloth * rng.uniform(0.5, 0.85))
        layers.tint(canvas.strokes([[(middle, top + depth), (middle, top + 6 * h)]], 0.06 * h), cloth * 0.6)
    elif kind < 0.3:  # scarf or turtleneck
        above, below = top - 0.35 * h, top + 0.3 * h
        wrap = smoothed([
            (middle - 1.2 * neck, above), (middle + 1.2 * neck, above),
            (middle + 1.5 * neck, below), (middle - 1.5 * neck, below),
        ])  # fmt: skip
        wool = any_colour(rng) * (1 + 0.3 * canvas.noise(30, 12))[..., None]
        layers.paint(canvas.polygons(wrap), np.clip(wool, 0, 1))
    elif kind < 0.37:  # straps, as of dungarees or a bag
        base, s = pose.x + pose.lean, pose.shoulders
        lines = [[(base + d * 0.55 * s, top), (base + d * 0.5 * s, top + 5 * h)] for d in (-1, 1)]
        layers.tint(canvas.strokes(lines, 0.18 * h), any_colour(rng))


def paint_hood(canvas: Canvas, layers: Layers, pose: Pose, cloth: Array) -> None:
    """Paint a hood or a high collar behind the head."""
    right = [(1.2, 1.6), (1.4, 0), (0.9, -1.15)]
    left = [(-u, v) for u, v in right]
    outline = pose.on_head([*left, (0, -1.4), *right[::-1]])
    layers.paint(canvas.polygons(smoothed(outline)), cloth * 0.8)


def paint_legs(canvas: Canvas, layers: Layers, pose: Pose, surroundings: Array) -> None:
    """Paint both legs, apart; the feet are below the picture."""
    rng, h = canvas.rng, pose.height
    hips, y = pose.x + pose.lean, pose.neck_y + 5 * h
    stance = h * rng.uniform(0.4, 1.2)
    colour = any_colour(rng) if rng.random() < 0.8 else surroundings
    shade = 1 + 0.15 * canvas.fractal(1 / h, 3)
    radii = [0.75 * h, 0.5 * h, 0.35 * h]
    legs: list[Array] = []
    for side in (-1, 1):
        foot_x = hips + side * stance
        legs += limb([(hips + side * 0.5 * h, y), (foot_x, y + 3.5 * h), (foot_x, y + 7 * h)], radii)
    layers.paint(canvas.polygons(*legs), np.clip(colour * shade[..., None], 0, 1))


def paint_arms(canvas: Canvas, layers: Layers, pose: Pose, cloth: Array, skin: Array) -> None:
    """Paint one or two arms: hanging, akimbo, raised or held in front, some with a thing in the hand."""
    rng, h = canvas.rng, pose.height
    bare = rng.random() < 0.35
    thick = h * rng.uniform(0.36, 0.55)
    for side in (-1, 1):
        if rng.random() < 0.25:
            continue
        shoulder = np.array([pose.x + pose.lean + side * 0.88 * pose.shoulders, pose.neck_y + 0.75 * h])
        upper, fore = ARM_ANGLES[rng.integers(len(ARM_ANGLES))] + rng.normal(0, 0.25, 2)
        elbow = shoulder + 2.6 * h * np.array([side * np.sin(upper), np.cos(upper)])
        wrist = elbow + 2.3 * h * np.array([side * np.sin(fore), np.cos(fore)])
        hand = wrist + (wrist - elbow) * 0.22
        layers.paint(canvas.polygons(*limb([wrist, hand], [0.26 * h, 0.3 * h])), skin * rng.uniform(0.75, 1))
        if rng.random() < 0.15:
            up = np.array([0, h])
            thing = limb([hand - 0.6 * up, hand + 0.4 * up], [h * rng.uniform(0.1, 0.4), 0.12 * h])
            layers.paint(canvas.polygons(*thing), any_colour(rng))
        shade = (0.8 + 0.2 * np.clip(1 + canvas.noise(4, 4), 0, 1))[..., None]
        fore_arm = canvas.polygons(*limb([elbow, wrist], [0.8 * thick, 0.55 * thick]))
        layers.paint(fore_arm, skin * shade if bare else cloth * shade)
        layers.paint(canvas.polygons(*limb([shoulder, elbow], [thick, 0.82 * thick])), cloth * shade)
