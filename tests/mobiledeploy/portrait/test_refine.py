from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mobiledeploy.portrait.refine import refine


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0), (0.05, 0), (0.5, 128), (0.95, 255), (1.0, 255)])
def test_where_the_network_is_sure_alpha_is_all_or_nothing(value: float, expected: int) -> None:
    refined = refine(np.full((256, 256), value, np.float32), noise(301, 87))
    assert refined.mode == "L"
    assert refined.size == (301, 87)
    np.testing.assert_array_equal(np.asarray(refined), expected)


def test_pictures_smaller_than_the_window() -> None:
    for size in ((1, 1), (1, 50), (5, 3)):
        refined = refine(np.ones((256, 256), np.float32), noise(*size))
        np.testing.assert_array_equal(np.asarray(refined), np.full(size[::-1], 255))


def naive_guided_filter(alpha: np.ndarray, colours: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Equations 14 to 16 of He, Sun and Tang, pixel by pixel; borders repeated."""
    height, width = alpha.shape
    pad = ((radius, radius), (radius, radius))

    def windows(plane: np.ndarray) -> np.ndarray:
        padded = np.pad(plane, pad, mode="edge")
        return np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1,) * 2).reshape(
            height, width, -1
        )

    p = windows(alpha)
    channels = np.stack([windows(colours[..., c]) for c in range(3)], -1)
    a, b = np.empty((height, width, 3)), np.empty((height, width))
    for y in range(height):
        for x in range(width):
            guide, wanted = channels[y, x], p[y, x]
            mean = guide.mean(0)
            covariance = (guide * wanted[:, None]).mean(0) - mean * wanted.mean()
            sigma = np.cov(guide.T, bias=True)
            a[y, x] = np.linalg.inv(sigma + epsilon * np.eye(3)) @ covariance
            b[y, x] = wanted.mean() - a[y, x] @ mean
    means = np.stack([windows(a[..., c]).mean(-1) for c in range(3)], -1)
    return (means * colours).sum(-1) + windows(b).mean(-1)


def test_at_the_networks_size_it_is_the_guided_filter_of_the_paper() -> None:
    generator = np.random.default_rng(1)
    small = Image.fromarray(generator.integers(0, 256, (6, 6, 3), np.uint8))
    picture = small.resize((24, 20), Image.Resampling.BICUBIC)
    alpha = (
        np.asarray(picture.convert("L"), np.float32)
        / 255
        * generator.uniform(0, 1, (20, 24)).astype(np.float32)
    )
    expected = naive_guided_filter(alpha, np.asarray(picture) / 255, radius=3, epsilon=1e-4)
    stretched = np.clip((expected - 0.1) / 0.8, 0, 1) * 255
    np.testing.assert_allclose(np.asarray(refine(alpha, picture), float), stretched, atol=0.51)


def test_the_edge_moves_to_that_of_the_picture() -> None:
    """The person's edge is at column 203 of 400; the network of 64 columns puts it half a column off."""
    picture = np.full((300, 400, 3), (40, 90, 160), np.uint8)
    picture[:, 203:] = (200, 120, 80)
    alpha = np.zeros((64, 64), np.float32)
    alpha[:, 33:] = 1  # 33 * 400 / 64 = 206
    plain = np.asarray(Image.fromarray(alpha).resize((400, 300), Image.Resampling.BICUBIC))
    truth = np.arange(400) >= 203
    error = np.abs(np.asarray(refine(alpha, Image.fromarray(picture))) / 255 - truth)
    assert error.max() < 0.5
    assert error.mean() < np.abs(plain - truth).mean() / 2
