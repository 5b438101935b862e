from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mobiledeploy.diff.causes import Evidence


@pytest.fixture
def evidence() -> Callable[..., Evidence]:
    """Make evidence of two tensors; keyword arguments add to it."""

    def make(reference: np.ndarray, candidate: np.ndarray, **known: object) -> Evidence:
        values = {"tolerance": 1e-3, **known}
        return Evidence(np.asarray(reference, np.float32), np.asarray(candidate, np.float32), **values)

    return make


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    """Standard normal float32 of a shape, the same for the same seed."""

    def make(*shape: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).standard_normal(shape, np.float32)

    return make
