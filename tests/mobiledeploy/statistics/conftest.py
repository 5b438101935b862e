"""Latencies as phones give them: autocorrelated, with heavy tails, and launches that differ by some per cent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mobiledeploy.statistics import Samples

Noise = Callable[..., Samples]


def autocorrelated(generator: np.random.Generator, count: int, correlation: float, sd: float) -> np.ndarray:
    """An AR(1) series with Student's t (4) innovations."""
    steps = generator.standard_t(4, count) * sd * np.sqrt((1 - correlation**2) / 2)
    values = np.empty(count)
    last = steps[0] / np.sqrt(1 - correlation**2)
    for index in range(count):
        last = values[index] = correlation * last + steps[index]
    return values


@pytest.fixture
def make_samples() -> Noise:
    """Make samples around 10 ms, 10 ms apart; `factor` (N,) multiplies them."""

    def make(
        seed: int = 0,
        *,
        launches: int = 8,
        count: int = 60,
        launch_sd: float = 0.012,
        within_sd: float = 0.01,
        correlation: float = 0.5,
        factor: np.ndarray | float = 1.0,
        **others: object,
    ) -> Samples:
        generator = np.random.default_rng(seed)
        logs = [
            generator.normal(0, launch_sd)
            + autocorrelated(generator, count, correlation, within_sd)
            + np.abs(generator.standard_t(3, count)) * within_sd / 2
            for _ in range(launches)
        ]
        return Samples(
            times_ms=10 * np.exp(np.concatenate(logs)) * factor,
            started_ms=np.arange(launches * count) * 10.0,
            launch=np.repeat(np.arange(launches), count),
            round=np.tile(np.arange(count), launches),
            **others,
        )

    return make
