from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.metrics.clip import flicker


def matte(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_flicker_by_hand() -> None:
    """The matte changes by (0.5, 0), the truth by (0, 1): the root of (0.25 + 1) / 2."""
    value = flicker(matte(0, 0), matte(0.5, 0), matte(1, 0), matte(1, 1))
    assert value == pytest.approx(np.sqrt(0.625))


def test_an_error_that_stays_does_not_flicker() -> None:
    before, after = matte(0.25, 0.5), matte(0.5, 0.25)
    assert flicker(before + 0.5, after + 0.5, before, after) == 0


def test_a_still_clip_with_a_blinking_pixel() -> None:
    still = np.zeros((10, 10), np.float32)
    blink = still.copy()
    blink[0, 0] = 1
    assert flicker(still, blink, still, still) == pytest.approx(0.1)


def test_the_size_of_the_picture_does_not_matter() -> None:
    frames = np.random.default_rng(0).random((4, 8, 8), np.float32)
    larger = np.kron(frames, np.ones((1, 3, 3), np.float32))
    assert flicker(*larger) == pytest.approx(flicker(*frames))
