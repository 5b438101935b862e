"""A histogram of absolute values that grows with its data: one pass, bounded memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BINS = 4096


class Histogram:
    """Counts of |x| in equal bins over [0, limit); zeros are left out, as they quantize without error.

    When a value exceeds the limit, the limit doubles and neighbouring bins merge, so between BINS/2 and BINS bins
    cover the data seen, whatever its order.
    """

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.limit = 0.0
        self.absmax = 0.0

    @property
    def bin_width(self) -> float:
        """Width of a bin, in the values' own unit."""
        return self.limit / BINS

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Count values of any shape; ValueError where one is not finite."""
        sizes = np.abs(values[values != 0])
        if sizes.size == 0:
            return
        largest = float(sizes.max())
        if not np.isfinite(largest):
            raise ValueError("an activation is not finite")
        self._make_room(largest)
        self.absmax = max(self.absmax, largest)
        # In float64: the width of a bin of the smallest float32 values is no float32.
        bins = np.minimum((sizes / np.float64(self.bin_width)).astype(np.int64), BINS - 1)
        self.counts += np.bincount(bins, minlength=BINS)

    def _make_room(self, largest: float) -> None:
        if self.limit == 0.0:
            self.limit = largest
        while largest > self.limit:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.limit *= 2
