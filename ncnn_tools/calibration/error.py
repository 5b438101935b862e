"""What int8 makes of a distribution: the error of its values for a threshold, in closed form.

A value x becomes q·d with d = T / n and q = x / d rounded, at most n in magnitude; n is 127 for ncnn's int8. Within a
bin of the histogram values are taken to be spread evenly, so that the sums over them are differences of antiderivatives
at its edges: no bin is too wide for the steps of a threshold, and none needs values of its own. The sign of x changes
nothing, so both signs are one distribution of |x| here. One-sided data has half of the levels to itself and leaves the
other half unused, unless it is centered (`ncnn_tools.quantization.centering`); its error is the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ncnn_tools.calibration.histogram import Counts, Edges

LEVELS = 127


class Moments(NamedTuple):
    """Sums over all values x and what they become, q, in units of a step: of x², x·q and q²."""

    xx: float
    xq: float
    qq: float

    @property
    def squared_error(self) -> float:
        """The sum of (x - q)², in units of a step."""
        return max(self.xx - 2 * self.xq + self.qq, 0.0)

    @property
    def cosine(self) -> float:
        """The cosine of the angle between x and q as vectors; 0 where all values become 0."""
        return self.xq / float(np.sqrt(self.xx * self.qq)) if self.qq > 0 else 0.0


def moments(edges: Edges, counts: Counts, threshold: float, levels: int = LEVELS) -> Moments:
    """Return the moments of |x| (n + 1 edges, n counts) for a threshold above 0, in units of threshold / levels."""
    places = edges / (threshold / levels)
    widths = np.diff(places)
    density = np.divide(counts, widths, out=np.zeros(len(counts)), where=widths > 0)
    level = np.minimum(np.floor(places + 0.5), levels)
    starts = level - 0.5  # of the stretch that becomes it; -0.5 for 0 does no harm, as it is multiplied by 0
    below = level * (level - 1) * (2 * level - 1) / 6  # the sum of k² for all levels k under this one
    antiderivatives = (
        places**3 / 3,
        below + level * (places**2 - starts**2) / 2,
        below + level**2 * (places - starts),
    )
    return Moments(*(float(density @ np.diff(values)) for values in antiderivatives))
