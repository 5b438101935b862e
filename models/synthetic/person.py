"""A whole person, painted from back to front."""

from __future__ import annotations

import numpy as np

from models.synthetic import body, clothes, face, hair
from models.synthetic.canvas import Array, Canvas, Layers, mixed
from models.synthetic.pose import random_light, random_pose

SKIN = [
    (255, 226, 205),
    (241, 199, 168),
    (224, 172, 138),
    (198, 140, 104),
    (150, 98, 68),
    (104, 66, 46),
    (62, 38, 28),
]


def paint(canvas: Canvas, surroundings: Array) -> Layers:
    """Paint a random person; `surroundings` (3) is the background's mean colour, for clothes that match it."""
    rng = canvas.rng
    layers = Layers(canvas.size)
    pose, light = random_pose(rng, canvas.aspect), random_light(rng)
    skin = mixed(SKIN, rng.random()) * rng.uniform(0.85, 1.1) + rng.normal(0, 0.02, 3)
    skin = np.clip(skin, 0, 1).astype(np.float32)
    style = hair.random_style(rng)
    cloth = clothes.cloth(canvas, surroundings, pose, light)

    hair.paint_behind(canvas, layers, pose, style, light)
    if rng.random() < 0.06:
        body.paint_hood(canvas, layers, pose, cloth)
    body.paint_neck(canvas, layers, pose, skin, light)
    if pose.neck_y + 5.5 * pose.height < 1:
        body.paint_legs(canvas, layers, pose, surroundings)
    body.paint_torso(canvas, layers, pose, cloth, skin)
    face.paint(canvas, layers, pose, skin, light)
    hair.paint_over(canvas, layers, pose, style, light)
    if rng.random() < (0.8 if pose.height < 0.13 else 0.12):
        body.paint_arms(canvas, layers, pose, cloth, skin)
    return layers
