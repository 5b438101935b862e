"""Scales and thresholds of weights."""

from __future__ import annotations

import numpy as np

from ncnn_tools.quantization.scales import absmax_thresholds, mse_thresholds, round_half_away, to_scales


def error(rows: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    scales = (127 / thresholds)[:, None]
    rounded = np.clip(np.sign(rows) * np.floor(np.abs(rows) * scales + 0.5), -127, 127) / scales
    found: np.ndarray = np.square(rounded - rows).mean(axis=1)
    return found


def test_the_searched_threshold_is_about_the_best_there_is() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (4, 3000)).astype(np.float32)
    rows[:, 7] = 9  # far beyond the rest
    found = error(rows, mse_thresholds(rows))
    largest = absmax_thresholds(rows)
    everywhere = np.array([error(rows, largest * f) for f in np.linspace(0.2, 1, 400)]).min(axis=0)
    assert (found <= 1.02 * everywhere).all()
    assert (found <= error(rows, largest)).all()


def test_few_weights_are_not_clipped() -> None:
    rows = np.array([[1.0, -0.5, 0.25]], np.float32)
    assert (error(rows, mse_thresholds(rows)) <= error(rows, absmax_thresholds(rows))).all()


def test_rows_of_zeros_have_the_scale_1() -> None:
    rows = np.zeros((2, 9), np.float32)
    np.testing.assert_array_equal(to_scales(mse_thresholds(rows)), [1, 1])
    np.testing.assert_array_equal(to_scales(absmax_thresholds(rows)), [1, 1])


def test_rounding_can_be_clamped_to_fewer_levels() -> None:
    values = np.array([-100.0, -0.5, 0.49, 30.5, 99.0], np.float32)
    np.testing.assert_array_equal(round_half_away(values, 31), [-31, -1, 0, 31, 31])
