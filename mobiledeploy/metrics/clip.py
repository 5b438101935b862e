"""What changes from frame to frame of a clip."""

from __future__ import annotations

import numpy as np

from mobiledeploy.arrays import FloatArray


def flicker(
    before: FloatArray, after: FloatArray, truth_before: FloatArray, truth_after: FloatArray
) -> float:
    """Return how much more or less a matte changed than the truth did, from one frame to the next; in 0..2.

    The root of the mean over pixels of ((after - before) - (truth_after - truth_before))^2; all H x W. A matte that
    is wrong in the same way in both frames has none. It is dtSSD of Erofeev, Gitman, Vatolin, Fedorov, Wang 2015,
    "Perceptually motivated benchmark for video matting", BMVC, which they take the root of a sum of; the mean, which
    does not grow with the picture, is from Lin, Yang, Saleemi, Sengupta 2022, "Robust high-resolution video matting
    with temporal guidance", WACV. The figure of a clip is the mean over its pairs of frames.
    """
    change = after.astype(np.float64) - before
    truth_change = truth_after.astype(np.float64) - truth_before
    return float(np.sqrt(((change - truth_change) ** 2).mean()))
