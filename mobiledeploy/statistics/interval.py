"""Intervals: over launches by Student's t, within one launch by order statistics of the effective sample size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from mobiledeploy.statistics.samples import Floats

CONFIDENCE = 0.95
# Beyond that it is better to find out what disturbs the device.
MOST_LAUNCHES = 50
# The two-sided 95 % quantile of the normal distribution.
_Z = 1.959964


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval."""

    low: float
    high: float


def t_margin(standard_error: float, degrees: float) -> float:
    """Return half the width of a 95 % interval whose standard error has so many degrees of freedom."""
    return float(stdtrit(degrees, 0.5 + CONFIDENCE / 2)) * standard_error


def launches_needed(half_width: float, launches: int, wanted: float) -> int | None:
    """Return how many launches would narrow an interval over `launches` to `wanted` on either side.

    More launches divide the spread by the root of their number, and know it better (Student's t). None where even
    MOST_LAUNCHES would not do.
    """
    spread = half_width * math.sqrt(launches) / t_margin(1.0, launches - 1)
    for count in range(launches + 1, MOST_LAUNCHES + 1):
        if t_margin(spread / math.sqrt(count), count - 1) <= wanted:
            return count
    return None


def effective_size(values: Floats) -> float:
    """Return how many independent samples say as much about the mean of an (N,) series as it does.

    N / (1 + 2 Σ autocorrelation), the sum ended where two neighbouring lags together are no longer positive:
    Geyer, Practical Markov Chain Monte Carlo, Statistical Science 7 (1992), initial positive sequence. Never more
    than N.
    """
    count = len(values)
    centred = values - values.mean()
    if count < 4 or not centred.any():
        return float(count)
    spectrum = np.fft.rfft(centred, 2 * count)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2)[:count]
    correlation = covariance / covariance[0]
    pairs = correlation[: count // 2 * 2].reshape(-1, 2).sum(axis=1)
    ended = np.flatnonzero(pairs <= 0)
    positive = pairs[: ended[0]] if len(ended) else pairs
    return float(count / max(1.0, 2 * positive.sum() - 1))


def median_effective_size(values: Floats) -> float:
    """Return the effective size of an (N,) series for its median: that of the indicator `value <= median`.

    Vehtari, Gelman, Simpson, Carpenter, Bürkner, Rank-normalization, folding, and localization, Bayesian Analysis
    16 (2021), section 4.3: what matters to a quantile is how often the series crosses it, not its outliers.
    """
    return effective_size((values <= np.median(values)).astype(np.float64))


def median_interval(values: Floats) -> Interval:
    """Return the interval of the median of one (N,) series, whatever its distribution.

    Order statistics around the middle, as many as a binomial count of `median_effective_size` samples varies
    (Hahn & Meeker, Statistical Intervals, 1991, section 5.2).
    """
    spread = _Z * 0.5 / math.sqrt(median_effective_size(values))
    low = np.quantile(values, max(0.0, 0.5 - spread), method="lower")
    high = np.quantile(values, min(1.0, 0.5 + spread), method="higher")
    return Interval(float(low), float(high))
