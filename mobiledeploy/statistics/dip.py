"""Hartigan's dip: how far a sample is from having one mode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mobiledeploy.statistics.samples import Floats, Ints

# The 99 % quantile of sqrt(n) * dip under the uniform distribution, the unimodal one that is hardest to tell from
# two modes: 0.58, 0.60, 0.61 for n = 50, 200, 1000 (simulated, as for table 1 of Hartigan & Hartigan).
CRITICAL_99 = 0.61


def dip(values: npt.ArrayLike) -> float:
    """Return the dip of an (N,) sample: the least distance between its distribution and any unimodal one.

    Hartigan & Hartigan, The dip test of unimodality, Annals of Statistics 13 (1985), found as in their algorithm
    AS 217 (Applied Statistics 34, 1985): the modal interval shrinks as long as its convex minorant and concave
    majorant are further apart than the distribution is from them outside.
    """
    unique, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    upto = np.cumsum(counts).astype(np.float64)
    before = upto - counts
    low, high = 0, len(unique) - 1
    largest = 1.0
    while low < high:
        inside = slice(low, high + 1)
        minorant = low + _lower_hull(unique[inside], before[inside])
        majorant = low + _lower_hull(unique[inside], -upto[inside])
        below = np.interp(unique[inside], unique[minorant], before[minorant])
        above = np.interp(unique[inside], unique[majorant], upto[majorant])
        knots = np.union1d(minorant, majorant)
        apart = (above - below)[knots - low]
        if apart.max() <= largest:
            break
        widest = knots[apart.argmax()]
        new_low = int(minorant[minorant <= widest][-1])
        new_high = int(majorant[majorant >= widest][0])
        left = (upto[inside] - below)[: new_low - low]
        right = (above - before[inside])[new_high - low + 1 :]
        largest = max(largest, left.max(initial=0), right.max(initial=0))
        low, high = new_low, new_high
    return float(largest / (2 * counts.sum()))


def _lower_hull(x: Floats, y: Floats) -> Ints:
    """Return the indices of the greatest convex minorant of points with increasing x (Andrew's monotone chain)."""
    hull: list[int] = []
    for index in range(len(x)):
        while len(hull) > 1:
            first, second = hull[-2:]
            turn = (x[second] - x[first]) * (y[index] - y[first]) - (y[second] - y[first]) * (
                x[index] - x[first]
            )
            if turn > 0:
                break
            hull.pop()
        hull.append(index)
    return np.array(hull)
