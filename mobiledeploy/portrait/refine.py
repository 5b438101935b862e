"""From the network's alpha to one of the picture's own size, with edges that follow the picture.

The guided filter (He, Sun and Tang, "Guided Image Filtering", PAMI 2013) in its fast form (He and Sun, "Fast Guided
Filter", 2015): around each pixel alpha is fitted as a linear function of the picture's colours; the fit is made on a
small grid, and its coefficients, which are smooth, are enlarged and applied to the picture itself.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from PIL import Image

from mobiledeploy.arrays import FloatArray

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]

# Chosen on photos with known mattes, by the error at their edges and by eye.
_GRID = 128  # long side of the grid, in pixels; networks of 256 give twice as many
_RADIUS = 3  # of the fit's window, in pixels of the grid
_EPSILON = 1e-4  # keeps the fit from following noise; the square of 0.01 of the grey range

# Alphas this near to 0 or 1 count as just that: the fit rarely reaches them, and a person with alpha 0.98 would
# not keep their colours.
_MARGIN = 0.1


def refine(alpha: FloatArray, picture: Image.Image) -> Image.Image:
    """Return the alpha of an RGB picture as an 8-bit grey picture of its size.

    `alpha` is what the network gave: float32 (h, w) in 0..1, whose aspect ratio may be another.
    """
    coefficients = _fit(alpha, picture)
    enlarged = (_resized(plane, picture.size, Image.Resampling.BILINEAR) for plane in coefficients)
    refined = next(enlarged).copy()
    colours = np.asarray(picture)
    for channel, slope in enumerate(enlarged):
        refined += slope * colours[:, :, channel]
    refined -= _MARGIN
    refined *= 255 / (1 - 2 * _MARGIN)
    refined += 0.5
    return Image.fromarray(np.clip(refined, 0, 255, out=refined).astype(np.uint8))


def _fit(alpha: FloatArray, picture: Image.Image) -> FloatArray:
    """Return (offset, slope of red, of green, of blue), 4 x h x w: alpha is offset + slopes · colours in 0..255."""
    shrink = max(1.0, max(alpha.shape) / _GRID)
    size = (round(alpha.shape[1] / shrink), round(alpha.shape[0] / shrink))
    wanted = _resized(alpha, size, Image.Resampling.BOX)
    small = np.asarray(picture.resize(size, Image.Resampling.BILINEAR), np.float32)
    guide = small.transpose(2, 0, 1) / np.float32(255)

    pairs = list(combinations_with_replacement(range(3), 2))
    products = np.stack([guide[i] * guide[j] for i, j in pairs])
    means = _window_means(np.concatenate([guide, guide * wanted, products, wanted[None]]))
    mean_guide, mean_alpha = means[:3], means[-1]
    covariance = means[3:6] - mean_guide * mean_alpha
    spread = np.empty((3, 3, *wanted.shape))
    for (i, j), mean in zip(pairs, means[6:-1], strict=True):
        spread[i, j] = spread[j, i] = mean - mean_guide[i] * mean_guide[j] + (_EPSILON if i == j else 0)
    slopes = _solved(spread, covariance)
    offset = mean_alpha - (slopes * mean_guide).sum(0)
    return _window_means(np.concatenate([offset[None], slopes / 255])).astype(np.float32)


def _solved(matrices: Array, right: Array) -> Array:
    """Solve one symmetric 3x3 system a pixel, 3 x 3 x h x w and 3 x h x w, by Cramer's rule.

    On this many small systems it takes a fifth of the time of numpy's solver.
    """
    a, b, c = matrices
    cofactors = np.stack([np.cross(b, c, axis=0), np.cross(c, a, axis=0), np.cross(a, b, axis=0)])
    solution: Array = np.einsum("ijhw,jhw->ihw", cofactors, right) / (a * cofactors[0]).sum(0)
    return solution


def _window_means(planes: Array) -> Array:
    """Return the mean over the window around each pixel, for each plane (n, h, w); borders are repeated outwards."""
    width = 2 * _RADIUS + 1
    pad = (_RADIUS + 1, _RADIUS)  # one more in front: a sum is the difference of two running sums
    running = np.cumsum(np.pad(planes, ((0, 0), pad, pad), mode="edge"), axis=1, dtype=np.float64)
    running = np.cumsum(running[:, width:] - running[:, :-width], axis=2)
    means: Array = (running[:, :, width:] - running[:, :, :-width]) / width**2
    return means


def _resized(plane: FloatArray, size: tuple[int, int], resample: Image.Resampling) -> FloatArray:
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size, resample))
