from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.statistics import Interval, Ratio, Samples, Verdict, paired_ratio, unpaired_ratio


def slowed(samples: Samples, factor: np.ndarray | float) -> Samples:
    return replace(samples, times_ms=samples.times_ms * factor)


@pytest.mark.parametrize(
    ("low", "ratio", "high", "verdict"),
    [
        (0.99, 1.0, 1.01, Verdict.SAME),
        (1.001, 1.01, 1.019, Verdict.SAME),  # surely slower, and surely by less than matters
        (1.03, 1.05, 1.07, Verdict.SLOWER),
        (1.005, 1.03, 1.05, Verdict.SLOWER),
        (1.005, 1.015, 1.03, Verdict.INCONCLUSIVE),
        (0.93, 0.95, 0.97, Verdict.FASTER),
        (0.9, 1.05, 1.2, Verdict.INCONCLUSIVE),
        (0.97, 1.0, 1.03, Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts(low: float, ratio: float, high: float, verdict: Verdict) -> None:
    assert Ratio(ratio, Interval(low, high), 8, paired=True).verdict(0.02) is verdict


def test_one_launch_is_never_enough(make_samples) -> None:
    a = make_samples(1, launches=1, count=500)
    found = paired_ratio(a, slowed(a, 1.5))
    assert found.ratio == pytest.approx(1.5)
    assert found.verdict() is Verdict.INCONCLUSIVE


def test_a_paired_ratio_by_hand(make_samples) -> None:
    """Launches that differ by 4, 5 and 6 %: t with two degrees of freedom is 4.3027."""
    a = make_samples(1, launches=3, count=20)
    found = paired_ratio(a, slowed(a, np.repeat([1.04, 1.05, 1.06], 20)))
    logs = np.log([1.04, 1.05, 1.06])
    assert found.ratio == pytest.approx(math.exp(logs.mean()))
    assert found.interval.high == pytest.approx(
        math.exp(logs.mean() + 4.3027 * logs.std(ddof=1) / math.sqrt(3)), rel=1e-5
    )
    assert (found.launches, found.paired) == (3, True)


def test_pairs_are_found_by_launch_and_round(make_samples) -> None:
    """A drift that both share says nothing; a round that one lacks is left out."""
    a = make_samples(1, launches=4, count=30, factor=np.linspace(1, 5, 120))
    b = slowed(a, 1.1)
    kept = np.arange(120) % 7 != 3
    part = Samples(b.times_ms[kept], b.started_ms[kept], b.launch[kept], b.round[kept])
    found = paired_ratio(a, part)
    assert found.interval.low == pytest.approx(1.1)
    assert found.interval.high == pytest.approx(1.1)
    with pytest.raises(ValueError, match="no launch"):
        paired_ratio(a, replace(b, launch=b.launch + 10))


@given(st.floats(0.2, 5))
def test_the_other_way_round_is_the_inverse(factor: float) -> None:
    generator = np.random.default_rng(3)
    launch, number = np.repeat(np.arange(5), 9), np.tile(np.arange(9), 5)
    a = Samples(generator.uniform(9, 10, 45), np.arange(45) * 10.0, launch, number)
    b = Samples(generator.uniform(9, 10, 45) * factor, np.arange(45) * 10.0, launch, number)
    for compare in (paired_ratio, unpaired_ratio):
        forth, back = compare(a, b), compare(b, a)
        assert forth.ratio == pytest.approx(1 / back.ratio)
        assert forth.interval.low == pytest.approx(1 / back.interval.high)


def test_welch_by_hand() -> None:
    """Logs 0, .02, .04 against .1, .1, .1: degrees of freedom 2, t 4.3027, standard error .02 / sqrt(3)."""
    a = Samples(np.exp([0.0, 0.02, 0.04]), np.arange(3.0), np.arange(3), np.zeros(3, int))
    b = Samples(np.exp([0.1, 0.1, 0.1]), np.arange(3.0), np.arange(3), np.zeros(3, int))
    found = unpaired_ratio(a, b)
    assert math.log(found.ratio) == pytest.approx(0.08)
    assert math.log(found.interval.high) == pytest.approx(0.08 + 4.3027 * 0.02 / math.sqrt(3), rel=1e-4)


def test_the_same_samples_twice(make_samples) -> None:
    a = make_samples(1)
    assert paired_ratio(a, a).verdict() is Verdict.SAME
    one = Samples(np.array([5.0, 5.0]), np.arange(2.0), np.arange(2), np.zeros(2, int))
    assert unpaired_ratio(one, one).interval == Interval(1.0, 1.0)


def test_error_rates(make_samples) -> None:
    """The targets, with launches that differ by 1.2 % (each of A and B by itself) and 10 % of the rounds disturbed."""
    wrong = found = covered = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        disturbed = np.where(np.repeat(generator.random(48) < 0.1, 10), 1.6, 1.0)
        a, b = make_samples(2 * seed, factor=disturbed), make_samples(2 * seed + 1, factor=disturbed)
        ratio = paired_ratio(a, b)
        covered += ratio.interval.low <= 1 <= ratio.interval.high
        wrong += ratio.verdict() in (Verdict.FASTER, Verdict.SLOWER)
        found += paired_ratio(a, slowed(b, 1.05)).verdict() is Verdict.SLOWER
    assert wrong / 200 <= 0.05
    assert found / 200 >= 0.9
    assert 0.91 <= covered / 200 <= 0.99


def test_how_many_launches_would_settle_it() -> None:
    """Four times the width needs sixteen times the launches, less what Student's t over five costs: 2.776 to 2.018."""
    wide = Ratio(1.0, Interval(1.02**-4, 1.02**4), 5, paired=True)
    assert wide.launches_to_settle(0.02) == 43  # 5 * 16 * (2.018 / 2.776)^2 = 42.3
    assert Ratio(1.0, Interval(1.02**-9, 1.02**9), 5, paired=True).launches_to_settle(0.02) is None
    assert Ratio(1.02, Interval(1.01, 1.03), 5, paired=True).launches_to_settle(0.02) == 6
