"""The person before another background: alpha * person + (1 - alpha) * background (Porter and Duff 1984).

Where alpha is 255 the result has the source's very bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from mobiledeploy.preprocessing import read_image

# (picture in RGB, alpha in 8-bit grey, both of one size) → the result in RGB.
Background = Callable[[Image.Image, Image.Image], Image.Image]

_SMALL = 320  # long side at which colours are blurred, in pixels: blurred, they need no more
_BLUR = 0.02  # standard deviation of the blur, as a share of the long side

# Weights in 8 bits to their fourth power: pixels that show person and background alike have no say in either.
_SURE = [round(255 * (value / 255) ** 4) for value in range(256)]


def background_of(text: str) -> Background:
    """Return the background that a person asked for: "grey", "blur", or a picture's path.

    Raises:
        UsageError: the picture can't be read.
    """
    named: dict[str, Background] = {"grey": grey, "blur": blur}
    return named[text] if text in named else before(Image.fromarray(read_image(Path(text))))


def grey(picture: Image.Image, alpha: Image.Image) -> Image.Image:
    """Take the colour out of the background."""
    return Image.composite(picture, picture.convert("L").convert("RGB"), alpha)


def blur(picture: Image.Image, alpha: Image.Image) -> Image.Image:
    """Blur the background; the person's colours don't run into it."""
    behind = _spread(picture, ImageChops.invert(alpha))
    return Image.composite(picture, behind.resize(picture.size, Image.Resampling.BICUBIC), alpha)


def before(backdrop: Image.Image) -> Background:
    """Return a background that is a picture in RGB, cropped in the middle to the shape that is needed."""
    fitted = backdrop

    def compose(picture: Image.Image, alpha: Image.Image) -> Image.Image:
        nonlocal fitted
        behind = fitted  # frames are composed by several threads; all of one video have one size
        if behind.size != picture.size:
            fitted = behind = ImageOps.fit(backdrop, picture.size, Image.Resampling.BICUBIC)
        return Image.composite(_without_background(picture, alpha), behind, alpha)

    return compose


def _without_background(picture: Image.Image, alpha: Image.Image) -> Image.Image:
    """Take the old background's colour out of the pixels that show both, so that no fringe remains.

    Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021): with F and B the colours of the person and
    of the background spread beyond the edge, the person's own colour is F + a (I - a F - (1 - a) B). Here they are
    spread once, from the pixels that are clearly one or the other; there twice, from all.
    """
    opacity = np.asarray(alpha)
    mixed = (opacity > 0) & (opacity < 255)
    share = opacity[mixed][:, None] / np.float32(255)
    pixels = np.array(picture)
    person, behind = (
        np.asarray(colours.resize(picture.size, Image.Resampling.BILINEAR))[mixed].astype(np.float32)
        for colours in (_spread(picture, alpha), _spread(picture, ImageChops.invert(alpha)))
    )
    own = person + share * (pixels[mixed] - share * person - (1 - share) * behind)
    pixels[mixed] = np.clip(np.round(own), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def _spread(picture: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return the colours where alpha is high, blurred beyond its edge without the others': a small picture.

    It is sum(weight * colour) / sum(weight) with Gaussian weights times those of `_SURE`.
    """
    shrink = max(1.0, max(picture.size) / _SMALL)
    size = (max(1, round(picture.width / shrink)), max(1, round(picture.height / shrink)))
    small, weight = (image.resize(size, Image.Resampling.BOX) for image in (picture, alpha))
    gaussian = ImageFilter.GaussianBlur(_BLUR * max(size))
    weighted = small.copy()
    weighted.putalpha(weight.point(_SURE))
    # RGBa holds colours multiplied by alpha; the way back to RGBA divides.
    spread = weighted.convert("RGBa").filter(gaussian).convert("RGBA")
    # Far from any weight there is nothing to divide by: the plain blur stands there.
    near = spread.getchannel("A").point([min(255, 8 * value) for value in range(256)])
    return Image.composite(spread.convert("RGB"), small.filter(gaussian), near)
