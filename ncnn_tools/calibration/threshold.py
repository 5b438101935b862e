"""Where to clip an activation for int8: from its statistics to a threshold T; the scale is then 127 / T."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncnn_tools.calibration.divergence import least_divergence
from ncnn_tools.calibration.error import LEVELS, Moments, moments
from ncnn_tools.calibration.histogram import clipped_edges
from ncnn_tools.calibration.statistics import BlobStatistics

DEFAULT_PERCENTILE = 99.99

# The search goes through the range in steps of an octave's eighth, over this many octaves, and closer around the best.
_STEPS = 8
_OCTAVES = 8
_CLOSER = 16
_LEAST_LEFT = 0.9  # of the values' length, by cosine_threshold
_SEARCH_BITS = 6  # of the histogram's 8: 64 bins an octave

Loss = Callable[[Moments, float], float]


def absmax_threshold(statistics: BlobStatistics) -> float:
    """Return the largest |x|: nothing is clipped, and outliers stretch the grid."""
    return statistics.absmax


def percentile_threshold(statistics: BlobStatistics, percentile: float) -> float:
    """Return the |x| that this share of all values, in percent and with the zeros among them, does not exceed.

    H. Wu et al. 2020, "Integer quantization for deep learning inference: principles and empirical evaluation",
    arXiv:2004.09602. At least the smallest value counted, as a threshold of 0 would erase the blob.
    """
    edges, counts = statistics.histogram.magnitudes()
    edges = clipped_edges(edges, statistics.absmax)
    wanted = percentile / 100 * statistics.histogram.total - statistics.histogram.zeros
    total = np.concatenate([[0.0], np.cumsum(counts)])
    occupied = int(np.flatnonzero(counts)[0])
    lowest = edges[occupied + 1] if wanted <= total[occupied] else 0.0
    return min(max(float(np.interp(wanted, total, edges)), lowest), statistics.absmax)


def kl_threshold(statistics: BlobStatistics) -> float:
    """Return the threshold whose quantized distribution is nearest to the clipped one: see `divergence`."""
    return least_divergence(statistics.histogram, statistics.absmax)


def mse_threshold(statistics: BlobStatistics, levels: int = LEVELS) -> float:
    """Return the threshold of the least mean squared error of the values themselves.

    Y. Choukroun, E. Kravchik, F. Yang, P. Kisilev 2019, "Low-bit quantization of neural networks for efficient
    inference", ICCV workshops, arXiv:1902.06822 (for weights and activations alike).
    """
    return _search(statistics, levels, lambda found, threshold: found.squared_error * threshold**2)


def cosine_threshold(statistics: BlobStatistics, levels: int = LEVELS) -> float:
    """Return the threshold that turns the values, as a vector, least.

    The criterion of EasyQuant (D. Wu et al. 2020, arXiv:2006.16669), there of a layer's outputs, here of its input.
    The angle does not see that all values become smaller by the same factor, so what is left of them must be
    at least nine tenths in their own direction.
    """

    def loss(found: Moments, _: float) -> float:
        return 1 - found.cosine if found.xq >= _LEAST_LEFT * found.xx else 1.0

    return _search(statistics, levels, loss)


def _search(statistics: BlobStatistics, levels: int, loss: Loss) -> float:
    absmax = statistics.absmax
    edges, counts = statistics.histogram.magnitudes(_SEARCH_BITS)
    places = clipped_edges(edges, absmax) / absmax  # in units of absmax, whose square may be no float

    def best(candidates: Sequence[float]) -> float:
        losses = [loss(moments(places, counts, candidate, levels), candidate) for candidate in candidates]
        return candidates[int(np.argmin(losses))]  # of equals the first, which is the largest

    near = best([float(part) for part in 2.0 ** -(np.arange(_STEPS * _OCTAVES + 1) / _STEPS)])
    closer = 2.0 ** (np.linspace(1, -1, 2 * _CLOSER + 1) / _STEPS)
    return best([near * float(part) for part in closer if near * part <= 1]) * absmax


@dataclass(frozen=True)
class Method:
    """A way to choose thresholds: one of METHODS, and for `percentile` which one."""

    name: str
    percentile: float = DEFAULT_PERCENTILE

    @classmethod
    def parse(cls, text: str) -> Method:
        """Read NAME, or percentile:99.9; ValueError says what is wrong with another text."""
        name, colon, number = text.partition(":")
        if name not in METHODS:
            raise ValueError(f"there is no calibration method {name!r}; there are {', '.join(METHODS)}")
        if not colon:
            return cls(name)
        if name != "percentile":
            raise ValueError(f"{name} takes no number")
        try:
            percentile = float(number)
        except ValueError:
            percentile = 0.0
        if not 50 <= percentile <= 100:
            raise ValueError(f"a percentile is a number from 50 to 100, not {number!r}")
        return cls(name, percentile)


METHODS: Mapping[str, Callable[[BlobStatistics, Method, int], float]] = {
    "absmax": lambda statistics, *_: absmax_threshold(statistics),
    "percentile": lambda statistics, method, _: percentile_threshold(statistics, method.percentile),
    "kl": lambda statistics, *_: kl_threshold(statistics),
    "mse": lambda statistics, _, levels: mse_threshold(statistics, levels),
    "cosine": lambda statistics, _, levels: cosine_threshold(statistics, levels),
}


def threshold(statistics: BlobStatistics, method: Method | str, levels: int = LEVELS) -> float:
    """Return the clipping threshold by a method; 0.0 for a blob that was always zero, at most its absmax else.

    `levels` are those above zero, which the error of values depends on: more let less be clipped.
    ValueError for the text of no method.
    """
    if statistics.absmax == 0.0:
        return 0.0
    chosen = Method.parse(method) if isinstance(method, str) else method
    return METHODS[chosen.name](statistics, chosen, levels)
