"""What calibration keeps of a blob's values: enough for every method, whatever their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ncnn_tools.calibration.histogram import Histogram

# How many values of a blob go into its histogram: of all samples together, and the least and the most of one. Where a
# blob has more, a lattice of them is counted; range and channels are of all values. Half a million leave fifty
# beyond the 99.99th percentile.
_COUNTED = 1 << 19
_COUNTED_OF_ONE = (1 << 12, 1 << 16)

Floats = npt.NDArray[np.float32]


def counted_values(samples: int) -> int:
    """Return how many values of a blob to count in each of so many samples."""
    least, most = _COUNTED_OF_ONE
    return min(max(_COUNTED // samples, least), most)


@dataclass
class BlobStatistics:
    """The values that a blob took.

    The channels are those of its first axis.

    Attributes:
        histogram: of as many values of each sample as `add` was told to count, evenly spread.
        channel_min: the smallest value of each channel.
        channel_max: the largest value of each channel.
    """

    histogram: Histogram = field(default_factory=Histogram)
    channel_min: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    channel_max: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def add(self, values: Floats, sample: int = 0, counted: int = _COUNTED) -> None:
        """Take in a sample's values (channels first); ValueError where one is not finite.

        About `counted` of them go into the histogram; `sample`, its number, shifts the lattice that they stand on.
        """
        rows = values.reshape(len(values), -1)
        low, high = rows.min(axis=1), rows.max(axis=1)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ValueError("an activation is not finite")
        self._extend(low, high)
        # An odd step, so that it meets every column of a picture whose width is a power of two.
        step = -(-values.size // counted) | 1 if values.size > counted else 1
        self.histogram.add(values.reshape(-1)[sample % step :: step])

    def merged(self, other: BlobStatistics) -> BlobStatistics:
        """Return the statistics of both ones' values."""
        result = BlobStatistics(self.histogram.merged(other.histogram))
        for part in (self, other):
            if len(part.channel_min):
                result._extend(part.channel_min, part.channel_max)
        return result

    @property
    def minimum(self) -> float:
        """The smallest value."""
        return float(self.channel_min.min(initial=np.inf)) if len(self.channel_min) else 0.0

    @property
    def maximum(self) -> float:
        """The largest value."""
        return float(self.channel_max.max(initial=-np.inf)) if len(self.channel_min) else 0.0

    @property
    def absmax(self) -> float:
        """The largest magnitude."""
        return max(self.maximum, -self.minimum)

    @property
    def one_sided(self) -> bool:
        """Whether no two values have opposite signs, as behind a ReLU: int8 then uses 128 of its 255 levels."""
        return self.minimum >= 0 or self.maximum <= 0

    @property
    def zero_share(self) -> float:
        """The share of zeros among the values that were counted."""
        return self.histogram.zeros / max(self.histogram.total, 1)

    @property
    def dead_channels(self) -> list[int]:
        """The channels that were always zero."""
        return [int(channel) for channel in np.flatnonzero((self.channel_min == 0) & (self.channel_max == 0))]

    def _extend(self, low: Floats, high: Floats) -> None:
        seen = len(self.channel_min) > 0
        self.channel_min = np.minimum(self.channel_min, low) if seen else low.copy()
        self.channel_max = np.maximum(self.channel_max, high) if seen else high.copy()


Statistics = Mapping[str, BlobStatistics]


@dataclass(frozen=True)
class Calibration:
    """The statistics of one pass, by blob, apart for the samples of even and of odd number.

    That two halves of the samples agree is what shows that there were enough.
    """

    samples: int
    halves: tuple[Statistics, Statistics]

    def __getitem__(self, blob: str) -> BlobStatistics:
        """Return a blob's statistics over all samples."""
        even, odd = self.halves
        return even[blob].merged(odd[blob])

    @property
    def blobs(self) -> list[str]:
        """The blobs, in the order in which they were asked for."""
        return list(self.halves[0])
