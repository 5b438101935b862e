"""Pictures that are like a few others: mirrored, nearer, darker.

A mix that is chosen on four photos fits these four: `docs/mixed.md` shows what that does to others. Copies that a
camera could as well have taken show more of what an error can do, though they are no new scenes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mobiledeploy.arrays import FloatArray
from mobiledeploy.preprocessing import Preprocessing

_NEARER = 0.85  # of both extents
_DARKER = 0.75  # of the brightness
_CONTRAST = 1.25


def _upper_left(picture: Image.Image) -> Image.Image:
    return picture.crop((0, 0, round(_NEARER * picture.width), round(_NEARER * picture.height)))


def _lower_right(picture: Image.Image) -> Image.Image:
    left, top = (round((1 - _NEARER) * extent) for extent in picture.size)
    return picture.crop((left, top, *picture.size))


_CHANGES: tuple[Callable[[Image.Image], Image.Image], ...] = (
    ImageOps.mirror,
    _upper_left,
    lambda picture: ImageOps.mirror(_lower_right(picture)),
    lambda picture: ImageEnhance.Brightness(picture).enhance(_DARKER),
    lambda picture: ImageOps.mirror(ImageEnhance.Contrast(picture).enhance(_CONTRAST)),
)


def with_variations(
    samples: Sequence[Mapping[str, FloatArray]], preprocessing: Preprocessing | None, wanted: int
) -> list[Mapping[str, FloatArray]]:
    """Return the samples (one input blob → float32, 3xHxW), and changed copies of them up to `wanted` in all.

    There are at most five copies of each, and none where the inputs are not pictures.
    """
    found = list(samples)
    if preprocessing is None:
        return found
    copies = (
        {blob: _changed(values, change, preprocessing) for blob, values in sample.items()}
        for change in _CHANGES
        for sample in samples
    )
    return found + list(itertools.islice(copies, max(wanted - len(found), 0)))


def _changed(
    values: FloatArray, change: Callable[[Image.Image], Image.Image], preprocessing: Preprocessing
) -> FloatArray:
    picture = change(Image.fromarray(preprocessing.picture(values)))
    changed: FloatArray = preprocessing.tensor(np.asarray(picture))[0]
    return changed
