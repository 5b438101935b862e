"""The field's figures for an alpha matte against another that is taken for right.

Mattes are H x W in 0..1. The benchmarks that these figures come from take them over the unknown region of a trimap
that a person drew. Here is no trimap, as a portrait network gets none: they are taken over the whole picture, and
`edge_error` over a band that is made from the truth. So compare them among variants of a network, not with the
tables of papers. All but `mean_error`, `squared_error` and `edge_error` grow with the number of pixels.

"Rhemann 2009" is Rhemann, Rother, Wang, Gelautz, Kohli, Rott, "A perceptually motivated online benchmark for image
matting", CVPR 2009.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from mobiledeploy.arrays import FloatArray
from mobiledeploy.metrics.mask import MASK_THRESHOLD

DoubleArray = np.ndarray[Any, np.dtype[np.float64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

GRADIENT_SIGMA = 1.4  # pixels; what the benchmark of Rhemann 2009 and those after it use
_GRADIENT_RADIUS = 4  # pixels; the kernel's tails beyond hold less than 1 % of its weight
# How wide the edge's band is, each side: the share of the picture's diagonal that Cheng et al. 2021, "Boundary IoU",
# CVPR, take for the boundary.
EDGE_WIDTH = 0.02
# Alpha within these bounds is neither subject nor background. Networks' mattes, which can be the truth here, never
# reach 0 and 1 themselves.
UNKNOWN = (0.05, 0.95)


def mean_error(alpha: FloatArray, truth: FloatArray) -> float:
    """Return the mean absolute difference, in 0..1 ("MAD" or "MAE" in papers)."""
    return float(np.abs(_difference(alpha, truth)).mean())


def sum_error(alpha: FloatArray, truth: FloatArray) -> float:
    """Return the sum of absolute differences over 1000, as it is printed in papers ("SAD"; Rhemann 2009)."""
    return float(np.abs(_difference(alpha, truth)).sum() / 1000)


def squared_error(alpha: FloatArray, truth: FloatArray) -> float:
    """Return the mean squared difference, in 0..1 ("MSE"; Rhemann 2009)."""
    return float((_difference(alpha, truth) ** 2).mean())


def gradient_error(alpha: FloatArray, truth: FloatArray) -> float:
    """Return how much sharper or softer the matte is than the truth, over 1000 ("Grad"; Rhemann 2009).

    The sum of squared differences of the gradients' lengths. A gradient is the matte filtered with the first
    derivatives of a Gaussian of `GRADIENT_SIGMA`; the two-dimensional kernels have Euclidean norm 1, and the
    picture's border is repeated beyond it.
    """
    return float(((_gradient_length(alpha) - _gradient_length(truth)) ** 2).sum() / 1000)


def edge_error(alpha: FloatArray, truth: FloatArray) -> float | None:
    """Return the mean absolute difference in `edge_band` of the truth, in 0..1; None where it has no edge.

    The outline is what a person looks at, and it is few of a picture's pixels, so that the mean over all hides it.
    Kohli, Ladicky, Torr 2009, "Robust higher order potentials for enforcing label consistency", IJCV 82, judge
    segmentations in such a band.
    """
    band = edge_band(truth)
    return float(np.abs(_difference(alpha, truth))[band].mean()) if band.any() else None


def edge_band(truth: FloatArray) -> BoolArray:
    """Return the trimap's unknown region that a matte implies, H x W.

    Every pixel within `EDGE_WIDTH` of the diagonal, at least one pixel, of one whose alpha is unknown or that has
    a neighbour (of four) on the other side of the mask. That trimaps are made by dilating the unknown region is
    from Xu, Price, Cohen, Huang 2017, "Deep image matting", CVPR.
    """
    mask = truth > MASK_THRESHOLD
    # Beside the border of the picture lies more of the same.
    crossing = ndimage.binary_dilation(mask) & ~ndimage.binary_erosion(mask, border_value=1)
    edge: BoolArray = crossing | ((truth > UNKNOWN[0]) & (truth < UNKNOWN[1]))
    if not edge.any():
        return edge
    radius = max(1, round(EDGE_WIDTH * float(np.hypot(*truth.shape))))
    band: BoolArray = ndimage.distance_transform_edt(~edge) <= radius
    return band


def _difference(alpha: FloatArray, truth: FloatArray) -> DoubleArray:
    return alpha.astype(np.float64) - truth


def _gradient_length(matte: FloatArray) -> DoubleArray:
    """Filter along each axis with the derivative, and across it with the Gaussian; H x W."""
    x = np.arange(-_GRADIENT_RADIUS, _GRADIENT_RADIUS + 1)
    gaussian = np.exp(-(x**2) / (2 * GRADIENT_SIGMA**2))
    derivative = x * gaussian
    # The outer product has norm 1 where both factors have.
    gaussian, derivative = (kernel / np.linalg.norm(kernel) for kernel in (gaussian, derivative))
    values = matte.astype(np.float64)
    along = [
        ndimage.correlate1d(
            ndimage.correlate1d(values, derivative, axis, mode="nearest"), gaussian, 1 - axis, mode="nearest"
        )
        for axis in (0, 1)
    ]
    length: DoubleArray = np.hypot(*along)
    return length
