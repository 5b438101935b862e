"""Each figure by hand, against plain loops over pixels, and what must hold for any mattes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mobiledeploy.metrics.matting import (
    edge_band,
    edge_error,
    gradient_error,
    mean_error,
    squared_error,
    sum_error,
)

MATTES = arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1, width=32)
)


def matte(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def random_matte(seed: int, shape: tuple[int, int] = (17, 23)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def test_mean_sum_and_square_by_hand() -> None:
    alpha, truth = matte([0, 0.5], [1, 1]), matte([0, 1], [1, 0])
    assert mean_error(alpha, truth) == pytest.approx(1.5 / 4)
    assert sum_error(alpha, truth) == pytest.approx(1.5 / 1000)
    assert squared_error(alpha, truth) == pytest.approx((0.25 + 1) / 4)


def test_sums_do_not_lose_small_errors() -> None:
    """A million errors of 1e-4: a sum in float32 would be off in the third digit."""
    truth = np.zeros((1000, 1000), np.float32)
    assert sum_error(truth + np.float32(1e-4), truth) == pytest.approx(0.1, rel=1e-6)


def gradient_length_by_loops(matte: np.ndarray) -> np.ndarray:
    """The definition, pixel by pixel with a two-dimensional kernel."""
    sigma, radius, values = 1.4, 4, matte.astype(np.float64)
    offsets = [(v, u) for v in range(-radius, radius + 1) for u in range(-radius, radius + 1)]

    def gauss(t: int) -> float:
        return math.exp(-t * t / (2 * sigma * sigma)) / (sigma * math.sqrt(2 * math.pi))

    kernel = {(v, u): gauss(v) * -u * gauss(u) / sigma**2 for v, u in offsets}
    norm = math.sqrt(sum(weight * weight for weight in kernel.values()))
    height, width = values.shape
    out = np.zeros(values.shape)
    for y in range(height):
        for x in range(width):
            gx = gy = 0.0
            for v, u in offsets:
                inside = min(max(y + v, 0), height - 1), min(max(x + u, 0), width - 1)
                gx += kernel[v, u] / norm * values[inside]
                gy += kernel[u, v] / norm * values[inside]
            out[y, x] = math.hypot(gx, gy)
    return out


def test_gradient_error_equals_the_definition() -> None:
    alpha, truth = random_matte(0), random_matte(1)
    expected = ((gradient_length_by_loops(alpha) - gradient_length_by_loops(truth)) ** 2).sum() / 1000
    assert gradient_error(alpha, truth) == pytest.approx(expected, rel=1e-9)


def test_a_ramp_has_the_gradient_of_its_slope() -> None:
    """Far from the border a ramp of slope s answers s times what the kernel gives for slope 1, at any angle."""
    y, x = np.mgrid[0:30, 0:30].astype(np.float32)
    flat = np.zeros((30, 30), np.float32)
    along, across = gradient_error(0.01 * x, flat), gradient_error(0.01 * y, flat)
    assert along == pytest.approx(across, rel=1e-6)
    # The border's share is the same for both slopes, so that the ratio is that of the squares.
    assert gradient_error(0.02 * x, flat) == pytest.approx(4 * along, rel=1e-5)


def test_a_blurred_edge_costs_gradient_and_a_shifted_level_does_not() -> None:
    sharp = np.zeros((20, 20), np.float32)
    sharp[:, 10:] = 1
    soft = np.clip((np.mgrid[0:20, 0:20][1] - 5) / 10, 0, 1).astype(np.float32)
    assert gradient_error(soft, sharp) > 0.01
    assert gradient_error(sharp * 0.5 + 0.25, sharp * 0.5) == pytest.approx(0, abs=1e-12)


def band_by_loops(truth: np.ndarray) -> np.ndarray:
    height, width = truth.shape
    edge = []
    for y in range(height):
        for x in range(width):
            near = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
            crossing = any(
                0 <= v < height and 0 <= u < width and (truth[v, u] > 0.5) != (truth[y, x] > 0.5)
                for v, u in near
            )
            if crossing or 0.05 < truth[y, x] < 0.95:
                edge.append((y, x))
    radius = max(1, round(0.02 * math.hypot(height, width)))
    return np.array(
        [
            [any(math.hypot(y - v, x - u) <= radius for v, u in edge) for x in range(width)]
            for y in range(height)
        ]
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_band_equals_the_definition(seed: int) -> None:
    coarse = np.random.default_rng(seed).choice([0, 0, 0, 0.3, 0.5, 1, 1], (4, 5)).astype(np.float32)
    truth = np.kron(coarse, np.ones((20, 24), np.float32))  # 80 x 120: a radius of 3
    assert np.array_equal(edge_band(truth), band_by_loops(truth))


def test_the_band_of_a_disk_by_hand() -> None:
    """At 256 x 256 the band reaches 7 pixels to either side of the outline."""
    y, x = np.mgrid[0:256, 0:256]
    distance = np.hypot(y - 128, x - 128)
    band = edge_band((distance <= 60).astype(np.float32))
    assert band[(distance > 55) & (distance < 65)].all()
    assert not band[(distance < 51) | (distance > 69)].any()


def test_edge_error_looks_at_the_band_alone() -> None:
    truth = np.zeros((100, 100), np.float32)
    truth[:, 50:] = 1
    far, near = truth.copy(), truth.copy()
    far[:, :20] = 1
    near[:, 50] = 0
    assert edge_error(far, truth) == 0
    # The outline is columns 49 and 50, the radius round(0.02 * 141.4) = 3: a band of 8 columns, one of them wrong.
    assert edge_error(near, truth) == pytest.approx(1 / 8)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_without_an_edge_there_is_no_edge_error(level: float) -> None:
    assert edge_error(random_matte(0), np.full((17, 23), level, np.float32)) is None


@given(MATTES)
@settings(max_examples=50, deadline=None)
def test_a_matte_equals_itself(alpha: np.ndarray) -> None:
    for figure in (mean_error, sum_error, squared_error, gradient_error, edge_error):
        assert figure(alpha, alpha) in (0, None)


@given(MATTES, st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_figures_keep_their_bounds_and_their_mirror(alpha: np.ndarray, seed: int) -> None:
    truth = random_matte(seed, alpha.shape)
    mean, square = mean_error(alpha, truth), squared_error(alpha, truth)
    assert 0 <= square <= mean <= 1
    assert sum_error(alpha, truth) == pytest.approx(mean * alpha.size / 1000)
    edge = edge_error(alpha, truth)
    assert edge is None or 0 <= edge <= 1
    for figure in (mean_error, gradient_error, edge_error):
        value, mirrored = figure(alpha, truth), figure(alpha[:, ::-1], truth[:, ::-1])
        assert mirrored == pytest.approx(value)
