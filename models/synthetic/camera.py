"""What a camera does to a scene: exposure, colour cast, grey film, vignette, blur, noise, JPEG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.synthetic.canvas import Array, Canvas, as_bytes, blurred

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def photograph(canvas: Canvas, scene: Array) -> NDArray[np.uint8]:
    """Return the photo (H x W x 3 uint8, RGB) of a scene (H x W x 3, 0..1). Alpha is untouched by all this."""
    rng = canvas.rng
    # Automatic exposure brings dark and bright scenes nearer to middle grey, not all the way.
    exposure = np.clip((0.42 / max(float(scene.mean()), 0.02)) ** 0.7, 0.5, 4)
    cast = 1 + rng.normal(0, 0.06, 3).astype(np.float32)
    photo = scene * (float(exposure) * rng.uniform(0.85, 1.15)) * cast
    photo = np.clip(photo, 0, 1) ** np.float32(rng.uniform(0.7, 1.4))
    photo = 0.5 + (photo - 0.5) * rng.uniform(0.75, 1.25)
    if rng.random() < 0.12:
        photo = np.repeat((photo @ LUMA)[..., None], 3, axis=2)
    elif rng.random() < 0.3:
        grey = (photo @ LUMA)[..., None]
        photo = grey + (photo - grey) * rng.uniform(0.2, 1.5)
    if rng.random() < 0.3:
        corner = (canvas.x / canvas.aspect - 0.5) ** 2 + (canvas.y - 0.5) ** 2
        photo = photo * (1 - rng.uniform(0, 1.2) * corner)[..., None]
    if rng.random() < 0.25:
        photo = blurred(photo, canvas.size / 256 * rng.uniform(0.3, 1.2))
    strength = float(rng.choice([0.004, 0.015, 0.04], p=[0.55, 0.35, 0.1])) * rng.uniform(0.5, 1.5)
    photo = photo + strength * rng.standard_normal(photo.shape, dtype=np.float32)
    pixels = as_bytes(photo)
    return _jpeg(pixels, int(rng.integers(35, 95))) if rng.random() < 0.5 else pixels


def _jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return the pixels after a round through JPEG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))
