from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mobiledeploy.diff.measures import measure


def test_figures_by_hand() -> None:
    found = measure(np.float32([3, -4, 0]), np.float32([3, -4, 0.5]))
    assert found is not None
    assert found.max_abs == 0.5
    assert found.relative == 0.125
    assert found.snr_db == pytest.approx(10 * math.log10(25 / 0.25))
    assert found.cosine == pytest.approx(25 / (5 * math.sqrt(25.25)))
    assert found.broken == 0


def test_ten_times_the_error_is_20_db_less() -> None:
    generator = np.random.default_rng(0)
    reference, error = generator.normal(size=(2, 1000)).astype(np.float32)
    small, large = (measure(reference, reference + scale * error) for scale in (0.001, 0.01))
    assert small is not None
    assert large is not None
    assert small.snr_db - large.snr_db == pytest.approx(20, abs=0.01)


def test_equal_tensors() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = measure(values, values.reshape(6))
    assert found is not None
    assert (found.max_abs, found.relative, found.snr_db) == (0, 0, math.inf)
    assert found.to_json()["identical"] is True


def test_zeros() -> None:
    zeros = np.zeros(4, np.float32)
    both, other = measure(zeros, zeros), measure(zeros, np.ones(4, np.float32))
    assert both is not None
    assert other is not None
    assert (both.relative, both.cosine) == (0, 1)
    assert (other.relative, other.snr_db, other.cosine) == (math.inf, -math.inf, 0)


def test_shared_infinities_agree_and_others_are_broken() -> None:
    masked = np.float32([1, -np.inf, np.nan])
    same = measure(masked, masked.copy())
    assert same is not None
    assert (same.broken, same.max_abs) == (0, 0)
    found = measure(np.float32([1, 2, -np.inf]), np.float32([np.inf, np.nan, np.inf]))
    assert found is not None
    assert (found.broken, found.max_abs, found.snr_db) == (3, math.inf, -math.inf)


def test_other_sizes_are_not_compared() -> None:
    assert measure(np.zeros(3, np.float32), np.zeros(4, np.float32)) is None


def test_json_has_no_infinities() -> None:
    found = measure(np.float32([1]), np.float32([np.nan]))
    assert found is not None
    assert "Infinity" not in json.dumps(found.to_json(), allow_nan=False)
