from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.statistics.trend import change_point, kendall_p, segments, theil_sen


def test_mann_kendall_by_hand() -> None:
    """1 2 4 3 5: S = 8, variance 5 * 4 * 15 / 18 = 16.67, z = 7 / 4.0825, p = 0.0864."""
    assert kendall_p([np.array([1.0, 2.0, 4.0, 3.0, 5.0])]) == pytest.approx(0.0864, abs=1e-4)


def test_series_with_opposite_trends_cancel() -> None:
    rising = np.arange(30.0)
    assert kendall_p([rising]) < 1e-6
    assert kendall_p([rising, rising[::-1]]) == 1.0
    assert kendall_p([]) == 1.0
    assert kendall_p([np.array([1.0])]) == 1.0


def test_independent_and_autocorrelated_series_without_a_trend() -> None:
    """5 % of them have p < 0.05; autocorrelated ones somewhat more, where plain Mann-Kendall says so of half."""
    generator = np.random.default_rng(0)

    def rate(correlation: float) -> float:
        found = 0
        for _ in range(200):
            values = np.zeros(100)
            for index in range(1, 100):
                values[index] = correlation * values[index - 1] + generator.normal()
            found += kendall_p([values]) < 0.05
        return found / 200

    assert rate(0.0) <= 0.10
    assert rate(0.8) <= 0.25


@given(st.floats(-5, 5), st.floats(-100, 100))
def test_theil_sen_finds_the_slope_of_a_line_with_outliers(slope: float, offset: float) -> None:
    times = np.arange(20.0)
    values = slope * times + offset
    values[[3, 11]] += 1e4
    assert theil_sen(times, values) == pytest.approx(slope, abs=1e-6)


def test_theil_sen_of_too_little() -> None:
    assert theil_sen(np.zeros(1), np.ones(1)) == 0.0
    assert theil_sen(np.zeros(2), np.arange(2.0)) == 0.0


def test_pettitt_by_hand() -> None:
    """Five low, five high: K = 25 after the fifth, p = 2 exp(-6 * 625 / 1100)."""
    index, p = change_point(np.array([1.0, 2, 3, 4, 5, 11, 12, 13, 14, 15]))
    assert index == 5
    assert p == pytest.approx(2 * np.exp(-6 * 625 / 1100))


def test_a_series_is_cut_into_its_levels() -> None:
    generator = np.random.default_rng(0)
    values = np.repeat([10.0, 13.0, 11.0], [40, 80, 60]) + generator.normal(0, 0.2, 180)
    found = segments(values, 0.01, 5)
    assert [piece.start for piece in found] == pytest.approx([0, 40, 120], abs=2)
    assert found[-1].stop == 180
    assert segments(values[:3], 0.01, 5) == [slice(0, 3)]
