"""Is B faster than A? A ratio with its interval, and one of four verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from mobiledeploy.statistics.interval import Interval, launches_needed, median_interval, t_margin
from mobiledeploy.statistics.samples import Floats, Samples

# Two freshly loaded, identical networks in one process differ by up to so much: less is no property of a network.
DEFAULT_MARGIN = 0.02


class Verdict(Enum):
    """What can be said of B beside A."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "the same"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Ratio:
    """Time of B over time of A, above 1 where B is slower. `launches` is the fewer of the two.

    `paired`: both were measured in the same launches and rounds.
    """

    ratio: float
    interval: Interval
    launches: int
    paired: bool

    def verdict(self, margin: float = DEFAULT_MARGIN) -> Verdict:
        """Judge the ratio; `margin` is the difference that does not matter, 0.02 for 2 %.

        The same: the whole interval is within the margin (two one-sided tests: Schuirmann, J. Pharmacokinetics and
        Biopharmaceutics 15, 1987). Slower, faster: the interval excludes 1 and the ratio is beyond the margin.
        Anything else is inconclusive, and so is a single launch, which can't tell the network from its placement.
        """
        low, high, middle = (math.log(value) for value in (self.interval.low, self.interval.high, self.ratio))
        bound = math.log1p(margin)
        if self.launches < 2:
            return Verdict.INCONCLUSIVE
        if -bound < low and high < bound:
            return Verdict.SAME
        if low > 0 and middle > bound:
            return Verdict.SLOWER
        if high < 0 and middle < -bound:
            return Verdict.FASTER
        return Verdict.INCONCLUSIVE

    def launches_to_settle(self, margin: float = DEFAULT_MARGIN) -> int | None:
        """Return how many launches would make the interval narrower than the margin on both sides; None: too many."""
        half = math.log(self.interval.high / self.interval.low) / 2
        return launches_needed(half, self.launches, math.log1p(margin))


def paired_ratio(a: Samples, b: Samples) -> Ratio:
    """Compare two configurations of one run: sample by sample, launch by launch.

    A launch's estimate is the median over its rounds of log(B / A), so that what slows a round slows both; the
    interval is Student's t over the launches' estimates. Raises ValueError where they share no round.
    """
    keys_a = list(zip(a.launch.tolist(), a.round.tolist(), strict=True))
    at_b = {key: index for index, key in enumerate(zip(b.launch.tolist(), b.round.tolist(), strict=True))}
    pairs = [(index, at_b[key]) for index, key in enumerate(keys_a) if key in at_b]
    if not pairs:
        raise ValueError("no launch and round has samples of both")
    in_a, in_b = np.array(pairs).T
    logarithms = np.log(b.times_ms[in_b] / a.times_ms[in_a])
    launch = a.launch[in_a]
    launches = [logarithms[launch == number] for number in np.unique(launch)]
    if len(launches) == 1:
        interval = median_interval(logarithms)
        return _ratio(float(np.median(logarithms)), interval.low, interval.high, 1, paired=True)
    estimates = np.array([np.median(values) for values in launches])
    margin = t_margin(_standard_error(estimates), len(estimates) - 1)
    centre = float(estimates.mean())
    return _ratio(centre, centre - margin, centre + margin, len(estimates), paired=True)


def unpaired_ratio(a: Samples, b: Samples) -> Ratio:
    """Compare configurations of two runs: Welch's t over the logarithms of their launches' medians.

    What differed between the runs as a whole (a warmer day, another app) is in the ratio but not in its interval.
    """
    logs_a, logs_b = np.log(a.launch_medians_ms()), np.log(b.launch_medians_ms())
    centre = float(logs_b.mean() - logs_a.mean())
    fewer = min(len(logs_a), len(logs_b))
    if fewer == 1:
        inner_a, inner_b = median_interval(np.log(a.times_ms)), median_interval(np.log(b.times_ms))
        return _ratio(centre, inner_b.low - inner_a.high, inner_b.high - inner_a.low, 1, paired=False)
    error_a, error_b = _standard_error(logs_a) ** 2, _standard_error(logs_b) ** 2
    margin = 0.0
    if error_a + error_b > 0:
        spread = error_a**2 / (len(logs_a) - 1) + error_b**2 / (len(logs_b) - 1)
        margin = t_margin(math.sqrt(error_a + error_b), (error_a + error_b) ** 2 / spread)
    return _ratio(centre, centre - margin, centre + margin, fewer, paired=False)


def _standard_error(estimates: Floats) -> float:
    return float(estimates.std(ddof=1)) / math.sqrt(len(estimates))


def _ratio(centre: float, low: float, high: float, launches: int, *, paired: bool) -> Ratio:
    return Ratio(math.exp(centre), Interval(math.exp(low), math.exp(high)), launches, paired)
