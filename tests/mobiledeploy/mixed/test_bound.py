from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mobiledeploy.errors import UsageError
from mobiledeploy.matte import Matte
from mobiledeploy.mixed.bound import Bound, Figures, figures_of

MATTE = Matte("alpha")


def alpha(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, 1, 1, -1)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=30))
def test_the_worse_end_is_that_of_students_interval(values: list[float]) -> None:
    scale = max(stats.sem(values), 1e-300)
    low, high = stats.t.interval(0.9, len(values) - 1, np.mean(values), scale)
    assert Figures({"min_iou": values}).worse_end("min_iou") == pytest.approx(low, abs=0.01)
    assert Figures({"max_mae": values}).worse_end("max_mae") == pytest.approx(high, abs=0.01)


def test_one_picture_has_no_interval() -> None:
    assert Figures({"min_iou": [0.98]}).worse_end("min_iou") == 0.98


@pytest.mark.parametrize(
    ("values", "kept"),
    [([0.995, 0.995], True), ([0.999, 0.985], False), ([0.5, 0.5], False), ([0.99, 0.99], True)],
)
def test_a_mean_that_is_right_by_chance_does_not_count(values: list[float], kept: bool) -> None:
    # (0.999 + 0.985) / 2 is above 0.99 and its worse end, 0.992 - 6.31 * 0.007, is not.
    assert Figures({"min_iou": values}).keeps(Bound(min_iou=0.99)) is kept
    flipped = [1 - value for value in values]
    assert Figures({"max_mae": flipped}).keeps(Bound(max_mae=0.01 + 1e-12)) is kept


@pytest.mark.parametrize(
    "bound", [Bound(min_iou=0), Bound(max_mae=1), Bound(min_cosine=0), Bound(min_top1=0)]
)
def test_what_is_no_number_keeps_nothing(bound: Bound) -> None:
    [(name, _)] = bound.limits
    assert not Figures({name: [0.5, math.nan]}).keeps(bound)


def test_every_bound_has_to_hold() -> None:
    figures = Figures({"min_iou": [1.0, 1.0], "max_mae": [0.2, 0.2]})
    assert figures.keeps(Bound(min_iou=1))
    assert not figures.keeps(Bound(min_iou=1, max_mae=0.1))


@pytest.mark.parametrize("bound", [Bound(min_iou=0.9), Bound(max_mae=0.1), Bound(max_mae=0.1, min_top1=1)])
def test_bounds_of_masks_need_a_mask(bound: Bound) -> None:
    bound.check(MATTE)
    with pytest.raises(UsageError, match="the network has none") as caught:
        bound.check(None)
    assert "--mask" in caught.value.hint


@pytest.mark.parametrize("limit", [-0.1, 1.01, math.nan, math.inf])
def test_bounds_that_cannot_be(limit: float) -> None:
    with pytest.raises(UsageError, match=r"--min-cosine .*from 0 to 1"):
        Bound(min_cosine=limit).check(None)


def test_what_is_asked_for_where_nobody_says() -> None:
    assert Bound.default(MATTE) == Bound(min_iou=0.99)
    assert Bound.default(None) == Bound(min_cosine=0.999)
    Bound.default(None).check(None)


def test_in_words_and_in_json() -> None:
    bound = Bound(max_mae=0.002, min_top1=1)
    assert str(bound) == "alpha MAE at most 0.002, top-1 agreement at least 1"
    assert Bound(**bound.to_json()) == bound
    figures = Figures({"max_mae": [0.001, 0.001], "min_top1": [1.0, 1.0]})
    assert str(figures) == "alpha MAE 0.001, 0.001 at worst, top-1 agreement 1, 1 at worst"
    assert figures.to_json()["max_mae"] == {"mean": 0.001, "worse_end": 0.001}


def test_figures_of_outputs_by_hand() -> None:
    found = [{"scores": np.array([[1.0, 3.0]]), "alpha": alpha(0.9, 0.8, 0.1, 0.0)}]
    expected = [{"scores": np.array([[4.0, 3.0]]), "alpha": alpha(1.0, 0.2, 0.1, 0.0)}]
    bound = Bound(min_iou=0.9, max_mae=0.1, min_cosine=0.9, min_top1=1)
    figures = figures_of(bound, found, expected, MATTE)
    assert figures.values["min_iou"] == [0.5]  # {0, 1} and {0}
    assert figures.values["max_mae"][0] == pytest.approx((0.1 + 0.6) / 4)
    a, b = [1, 3, 0.9, 0.8, 0.1, 0], [4, 3, 1, 0.2, 0.1, 0]
    assert figures.values["min_cosine"][0] == pytest.approx(
        np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    )
    assert figures.values["min_top1"] == [0.0]


def test_there_is_one_value_a_picture() -> None:
    same = {"alpha": alpha(1, 0)}
    other = {"alpha": alpha(0, 0)}
    figures = figures_of(Bound(max_mae=0.5), [same, other, same], [same] * 3, MATTE)
    assert list(figures.values["max_mae"]) == [0, 0.5, 0]
