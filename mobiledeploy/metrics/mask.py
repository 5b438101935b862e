"""The overlap of the masks that alphas are cut into."""

from __future__ import annotations

import numpy as np

from mobiledeploy.arrays import FloatArray

MASK_THRESHOLD = 0.5  # a pixel belongs to the subject where alpha is above it


def mask_iou(alpha: FloatArray, reference: FloatArray) -> float:
    """Return the mean over samples (first axis) of the masks' intersection over union; 1 where both are empty.

    In 0..1, larger is better. Jaccard 1912, "The distribution of the flora in the alpine zone", New Phytologist 11;
    as a figure for segmentation: Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) challenge", IJCV 88.
    """
    masks = (alpha > MASK_THRESHOLD, reference > MASK_THRESHOLD)
    both, either = (
        operation(*masks).reshape(len(alpha), -1).sum(1) for operation in (np.logical_and, np.logical_or)
    )
    return float(np.mean(np.where(either == 0, 1.0, both / np.maximum(either, 1))))
