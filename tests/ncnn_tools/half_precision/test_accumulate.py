"""Sums in fp16 against numpy's own float16, one number at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncnn_tools.half_precision import LARGEST, to_half
from ncnn_tools.half_precision.accumulate import accumulate


def one_by_one(weights: np.ndarray, rows: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Fused multiply-adds of one group: exact products, each sum rounded to float16 once (but for float64's bits)."""
    sums = np.empty((len(weights), rows.shape[1]), np.float16)
    with np.errstate(all="ignore"):
        for place in np.ndindex(sums.shape):
            total = np.float16(bias[place[0]])
            for weight, value in zip(weights[place[0]], rows[:, place[1]], strict=True):
                total = np.float16(np.float64(weight) * np.float64(value) + np.float64(total))
            sums[place] = total
    return sums.astype(np.float32)


@given(
    seed=st.integers(0, 2**32 - 1),
    outputs=st.integers(1, 4),
    depth=st.integers(1, 20),
    scale=st.sampled_from([1e-6, 1e-3, 0.02, 1.0, 100.0]),
)
def test_each_step_is_rounded(seed: int, outputs: int, depth: int, scale: float) -> None:
    """Also among subnormal numbers (1e-12) and where sums overflow (1e4)."""
    random = np.random.default_rng(seed)
    weights = to_half(random.normal(0, scale, (outputs, depth)).astype(np.float32))
    rows = to_half(random.normal(0, scale, (depth, 3)).astype(np.float32))
    bias = to_half(random.normal(0, scale**2, outputs).astype(np.float32))
    expected = one_by_one(weights, rows, bias)
    sums = accumulate(weights[None], rows[None], bias[None])[0]
    # The sum of a step is rounded to float32 first, which turns a tie now and then, and may shift the last bits.
    step = np.spacing(np.abs(expected).astype(np.float16)).astype(np.float32)
    assert np.array_equal(np.isfinite(sums), np.isfinite(expected))
    finite = np.isfinite(expected)
    assert (np.abs(sums - expected)[finite] <= 2 * step[finite]).all()
    assert (sums == expected)[finite].mean() > 0.8 or finite.sum() < 10


def test_groups_and_blocks_do_not_mix() -> None:
    random = np.random.default_rng(0)
    weights = to_half(random.normal(0, 1, (40, 3, 5)).astype(np.float32))
    rows = to_half(random.normal(0, 1, (40, 5, 30_000)).astype(np.float32))
    sums = accumulate(weights, rows)
    assert sums.shape == (40, 3, 30_000)
    np.testing.assert_allclose(sums, np.matmul(weights, rows), atol=0.05)
    np.testing.assert_array_equal(sums[7:8, :, -10:], accumulate(weights[7:8], rows[7:8, :, -10:]))


@pytest.mark.parametrize("limit", [LARGEST, LARGEST / 2])
def test_a_sum_beyond_the_limit_on_the_way_does_not_come_back(limit: float) -> None:
    half = np.float32(limit / 2)
    rows = np.array([[half, half / 4], [half, half / 4], [half, half / 4], [-3 * half, 0]], np.float32)
    rows = to_half(np.clip(rows, -LARGEST, LARGEST))[None]
    sums = accumulate(np.ones((1, 1, 4), np.float32), rows, largest=limit)[0, 0]
    assert sums[0] == np.inf
    assert np.isfinite(sums[1])
