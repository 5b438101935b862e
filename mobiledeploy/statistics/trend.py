"""Trends and steps in a series: Mann-Kendall, Theil-Sen, Pettitt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from mobiledeploy.statistics.samples import Floats


def kendall_p(series: Sequence[Floats]) -> float:
    """Return the two-sided p-value that none of the series has a trend, all taken together.

    Mann-Kendall's S summed over the series (Hirsch & Slack, Water Resources Research 20, 1984: one series a
    season; here a launch), each with its variance corrected for autocorrelation (`_variance`). 1 where there is
    nothing to test.
    """
    total = sum(_score(values) for values in series)
    variance = sum(_variance(values) for values in series)
    if variance <= 0:
        return 1.0
    z = max(0.0, abs(total) - 1) / math.sqrt(variance)
    return 2 * NormalDist().cdf(-z)


def _score(values: Floats) -> float:
    """Return Mann-Kendall's S: pairs that rise less pairs that fall."""
    return float(np.triu(np.sign(values[None, :] - values[:, None])).sum())


def _variance(values: Floats) -> float:
    """Return the variance of S, corrected as in Hamed & Rao, Journal of Hydrology 204 (1998), equations 12-14.

    The autocorrelation is that of the ranks after Theil-Sen's trend is taken out; lags that are not significant at
    5 % count as none.
    """
    count = len(values)
    plain = count * (count - 1) * (2 * count + 5) / 18
    if count < 8:
        return plain
    steps = np.arange(count, dtype=np.float64)
    residuals = values - theil_sen(steps, values) * steps
    ordered = np.sort(residuals)
    ranks = (np.searchsorted(ordered, residuals, "left") + np.searchsorted(ordered, residuals, "right")) / 2
    if np.ptp(ranks) == 0:
        return plain
    ranks -= ranks.mean()
    correction = 0.0
    for lag in range(1, count - 2):
        correlation = float(ranks[:-lag] @ ranks[lag:] / (ranks @ ranks))
        if abs(correlation) > 1.96 / math.sqrt(count):
            correction += (count - lag) * (count - lag - 1) * (count - lag - 2) * correlation
    # A negative sum would make the test sharper than independent samples allow.
    return plain * (1 + 2 * max(0.0, correction) / (count * (count - 1) * (count - 2)))


def theil_sen(times: Floats, values: Floats) -> float:
    """Return the median slope over all pairs of points (Sen, JASA 63, 1968); 0 for fewer than two times."""
    first, second = np.triu_indices(len(values), 1)
    apart = times[second] - times[first]
    used = apart != 0
    return float(np.median((values[second] - values[first])[used] / apart[used])) if used.any() else 0.0


def change_point(values: Floats) -> tuple[int, float]:
    """Return where a series steps to another level, as the index of the first value after, and the p-value of no step.

    Whether: Pettitt, A non-parametric approach to the change-point problem, Applied Statistics 28 (1979). Where: at
    the least sum of squares around two means (Hinkley, Inference about the change-point, Biometrika 57, 1970), as the
    largest rank statistic is misled by smaller steps on one side.
    """
    count = len(values)
    if count < 4:
        return 0, 1.0
    signs = np.sign(values[:, None] - values[None, :])
    statistic = float(np.abs(np.cumsum(signs.sum(axis=1))).max())
    p = 2 * math.exp(-6 * statistic**2 / (count**3 + count**2))
    return split(values), min(1.0, p)


def split(values: Floats) -> int:
    """Return where to cut an (N,) array, N > 1, for the least sum of squares around the means of its two parts."""
    before = np.arange(1, len(values))
    gap = np.cumsum(values - values.mean())[:-1]
    return int((gap**2 / (before * (len(values) - before))).argmax()) + 1


def segments(values: Floats, significance: float, shortest: int) -> list[slice]:
    """Cut a series into pieces of one level each, none shorter than `shortest`, by repeated `change_point`.

    Binary segmentation (Scott & Knott, Biometrics 30, 1974).
    """
    index, p = change_point(values)
    if p > significance or index < shortest or len(values) - index < shortest:
        return [slice(0, len(values))]
    after = segments(values[index:], significance, shortest)
    return segments(values[:index], significance, shortest) + [
        slice(piece.start + index, piece.stop + index) for piece in after
    ]
