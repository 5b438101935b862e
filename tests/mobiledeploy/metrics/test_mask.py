from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.metrics.mask import mask_iou


def test_iou_by_hand() -> None:
    alpha = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 1]]], np.float32)
    reference = np.array([[[1, 0, 1, 0]], [[0, 0, 0, 1]]], np.float32)
    assert mask_iou(alpha, reference) == pytest.approx((1 / 3 + 1) / 2)


def test_iou_of_empty_masks_is_one_and_of_disjoint_ones_zero() -> None:
    empty, full = np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32)
    assert mask_iou(empty, empty) == 1.0
    assert mask_iou(empty, full) == 0.0


def test_half_is_not_above_the_threshold() -> None:
    assert mask_iou(np.full((1, 4), 0.5, np.float32), np.zeros((1, 4), np.float32)) == 1.0
