from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.statistics.dip import CRITICAL_99, dip

# The statistics departments of Hartigan & Hartigan (1985), as in the R package diptest.
DEPARTMENTS = [
    30,
    33,
    35,
    36,
    37,
    37,
    39,
    39,
    39,
    39,
    39,
    40,
    40,
    40,
    40,
    41,
    42,
    43,
    43,
    43,
    44,
    44,
    45,
    45,
    46,
    46,
]
DEPARTMENTS += [
    47,
    47,
    48,
    48,
    48,
    49,
    50,
    50,
    51,
    52,
    52,
    53,
    53,
    53,
    53,
    53,
    54,
    54,
    57,
    57,
    59,
    60,
    60,
    60,
]
DEPARTMENTS += [61, 61, 61, 61, 62, 62, 62, 62, 63, 66, 70, 72, 72]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (DEPARTMENTS, 0.0595238),
        ([1, 1, 2, 2], 0.25),
        ([0, 1, 3, 6], 1 / 8),
        ([0, 2, 3, 5, 6], 0.1333333),
        ([0, 1, 3, 4, 6], 0.1333333),
        ([1] + [2] * 9, 0.05),
    ],
)
def test_as_the_r_package_diptest(values: list[int], expected: float) -> None:
    """Expected values: tests/ex1.Rout.save of diptest 0.77."""
    assert dip(values) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_bounds_and_mirror(values: list[int]) -> None:
    found = dip(values)
    assert 1 / (2 * len(values)) <= found <= 0.25 or len(values) == 1
    assert dip([-value for value in values]) == pytest.approx(found)


def test_one_mode_and_two() -> None:
    generator = np.random.default_rng(0)
    one = generator.lognormal(0, 0.5, 500)
    two = np.concatenate([generator.normal(0, 1, 400), generator.normal(6, 1, 100)])
    assert np.sqrt(500) * dip(one) < CRITICAL_99 < np.sqrt(500) * dip(two)


def test_the_critical_value() -> None:
    """99 % of uniform samples are below it: of 1000, all but 1 to 25 (beyond 4 standard deviations)."""
    generator = np.random.default_rng(1)
    above = sum(np.sqrt(100) * dip(generator.random(100)) > CRITICAL_99 for _ in range(1000))
    assert 1 <= above <= 25
