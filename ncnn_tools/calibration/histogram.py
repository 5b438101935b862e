"""A histogram of float32 values in floating bins: as fine for small values as for large ones, one pass, fixed size.

A bin holds the values that share sign, exponent and the first 8 bits of the mantissa, so its width is between 1/512
and 1/256 of the values in it. 16 octaves are kept, from the largest value downwards; what is smaller shares the
lowest bin, far under a quantization step of any sensible threshold. Counting is shifting and adding whole numbers,
so the result depends neither on the order of the data nor on how it was divided among threads.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MANTISSA_BITS = 8
OCTAVES = 16
BINS = OCTAVES << MANTISSA_BITS  # a side

Counts = npt.NDArray[np.int64]
Edges = npt.NDArray[np.float64]

_DROPPED_BITS = 23 - MANTISSA_BITS  # of float32's mantissa
_EXPONENT_BIAS = 127
_ABOVE = 1 + 2.0**-20
_KEY_MASK = (1 << (8 + MANTISSA_BITS)) - 1  # exponent and mantissa, without the sign


class Histogram:
    """Counts of positive and negative values, and of zeros.

    Attributes:
        counts: int64 (2, BINS), the bins of positive values and those of negative ones, by rising magnitude.
        base: the key (exponent and first mantissa bits) of the bins at index 0, which also hold all smaller values.
        zeros: how many values were zero; they are in no bin.
    """

    def __init__(self, counts: Counts | None = None, base: int = 0, zeros: int = 0) -> None:
        self.counts: Counts = np.zeros((2, BINS), np.int64) if counts is None else counts
        self.base = base
        self.zeros = zeros

    @property
    def total(self) -> int:
        """How many values were counted, zeros among them."""
        return self.zeros + int(self.counts.sum())

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Count values of any shape; ValueError where one is not finite."""
        flat = values.reshape(-1) + np.float32(0)  # a copy in which no zero is negative
        if flat.size == 0:
            return
        smallest = float(flat.min())
        largest = max(float(flat.max()), -smallest)
        if not np.isfinite(largest):
            raise ValueError("a value is not finite")
        self._make_room(largest)
        zeros = flat.size - int(np.count_nonzero(flat))
        keys = (flat.view(np.uint32) >> _DROPPED_BITS).view(np.int32)
        places = np.maximum((keys & _KEY_MASK) - self.base, 0)
        if smallest < 0:
            places += (keys > _KEY_MASK) * np.int32(BINS)
        self.counts += np.bincount(places, minlength=2 * BINS).reshape(2, BINS)
        self.counts[0, 0] -= zeros
        self.zeros += zeros

    def merged(self, other: Histogram) -> Histogram:
        """Return the histogram of both ones' values."""
        base = max(self.base, other.base)
        counts = _moved(self.counts, base - self.base) + _moved(other.counts, base - other.base)
        return Histogram(counts, base, self.zeros + other.zeros)

    def magnitudes(self, mantissa_bits: int = MANTISSA_BITS) -> tuple[Edges, Counts]:
        """Return the bins of |x|: n + 1 rising edges from 0 on, and n counts, both signs together.

        With fewer mantissa bits neighbouring bins are one.
        """
        step = 1 << (MANTISSA_BITS - mantissa_bits)
        counts = self.counts.sum(axis=0).reshape(-1, step).sum(axis=1)
        return self.edges()[::step], counts

    def edges(self) -> Edges:
        """Return the BINS + 1 edges of a side's bins."""
        keys = self.base + np.arange(BINS + 1)
        exponents, mantissas = (
            keys >> MANTISSA_BITS,
            (keys & ((1 << MANTISSA_BITS) - 1)) / (1 << MANTISSA_BITS),
        )
        normal = exponents > 0  # float32 numbers of exponent 0 have no leading 1
        edges: Edges = np.ldexp(mantissas + normal, np.maximum(exponents, 1) - _EXPONENT_BIAS)
        edges[0] = 0.0
        return edges

    def _make_room(self, largest: float) -> None:
        key = int(np.float32(largest).view(np.uint32)) >> _DROPPED_BITS
        base = max(((key >> MANTISSA_BITS) - OCTAVES + 1) << MANTISSA_BITS, 0)
        if base > self.base:
            self.counts = _moved(self.counts, base - self.base)
            self.base = base


def clipped_edges(edges: Edges, absmax: float) -> Edges:
    """Return edges that end just above the largest magnitude, so that its bin keeps a width where it begins with it."""
    result: Edges = np.minimum(edges, absmax * _ABOVE)
    return result


def _moved(counts: Counts, bins: int) -> Counts:
    """Return the counts with the lowest bins merged into one, and as many empty ones above."""
    bins = min(bins, BINS - 1)
    if bins == 0:
        return counts
    result = np.zeros_like(counts)
    result[:, : BINS - bins] = counts[:, bins:]
    result[:, 0] += counts[:, :bins].sum(axis=1)
    return result
