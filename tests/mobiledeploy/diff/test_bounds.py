from __future__ import annotations

import math

import pytest

from mobiledeploy.diff import Bound
from mobiledeploy.diff.bounds import default_bound
from mobiledeploy.diff.measures import Figures


@pytest.mark.parametrize(
    ("kinds", "bound"),
    [
        (("torch", "onnx"), Bound(max_relative=1e-3)),
        (("onnx", "fp32"), Bound(max_relative=1e-3)),
        (("fp32", "fp16"), Bound(min_snr_db=40)),
        (("onnx", "int8"), Bound(min_snr_db=8)),
        (("fp16", "int8"), Bound(min_snr_db=8)),
        (("onnx", "mixed"), Bound(min_snr_db=8)),
    ],
)
def test_the_less_exact_kind_decides(plain, kinds: tuple[str, str], bound: Bound) -> None:
    first, second = (plain([], [], kind=kind) for kind in kinds)
    assert default_bound(first, second) == default_bound(second, first) == bound


def test_fp16_arithmetic_is_allowed_more(plain) -> None:
    candidate = plain([], [], kind="fp16")
    candidate.halves = True
    assert default_bound(plain([], []), candidate) == Bound(min_snr_db=20)


def test_what_breaks_a_bound() -> None:
    figures = Figures(max_abs=1, relative=0.01, cosine=1, snr_db=40)
    assert not Bound(max_relative=0.01, min_snr_db=40).broken_by(figures)
    assert Bound(max_relative=0.009).broken_by(figures)
    assert Bound(min_snr_db=41).broken_by(figures)
    assert Bound(min_snr_db=0).broken_by(None)
    assert Bound(max_relative=math.inf).broken_by(Figures(math.inf, math.inf, 1, -math.inf, broken=2))
    assert Bound(min_snr_db=0).broken_by(Figures(1, 1, math.nan, math.nan))


def test_the_tolerance_of_an_snr_is_its_noise() -> None:
    assert Bound(min_snr_db=20).tolerance == pytest.approx(0.1)
    assert Bound(max_relative=0.02, min_snr_db=20).tolerance == 0.02
