"""The roofline of a device: no layer can be faster than its multiply-adds and its bytes allow.

Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for multicore architectures",
Communications of the ACM 52 (2009). There the bytes are those that come from main memory; here a layer finds its
input where the layer before has left it, so that the bandwidth is that of a working set of the layer's size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Bound = Literal["compute", "memory"]


@dataclass(frozen=True)
class Limit:
    """The least time in ms that a layer needs on the device, and what it is that limits it."""

    time_ms: float
    bound: Bound


@dataclass(frozen=True)
class Roofline:
    """`peaks`: 10^9 multiply-adds a second by arithmetic (fp32, fp16, int8); an fp16 that the CPU lacks is absent.

    `bandwidths`: (bytes of a working set, 10^9 bytes a second), by size.
    """

    peaks: Mapping[str, float]
    bandwidths: Sequence[tuple[int, float]]

    @classmethod
    def from_launches(cls, rooflines: Sequence[Mapping[str, Any]]) -> Roofline:
        """Take the best that any launch measured: a limit that was measured under disturbance is none."""
        peaks: dict[str, float] = {}
        bandwidths: dict[int, float] = {}
        for roofline in rooflines:
            for peak in roofline["peaks"]:
                peaks[peak["arithmetic"]] = max(peak["gmacs"], peaks.get(peak["arithmetic"], 0.0))
            for entry in roofline["bandwidths"]:
                fastest = max(entry["read_gbs"], entry["copy_gbs"])
                bandwidths[entry["bytes"]] = max(fastest, bandwidths.get(entry["bytes"], 0.0))
        return cls(peaks, sorted(bandwidths.items()))

    def bandwidth(self, size: int) -> float:
        """Return the bandwidth of the smallest measured working set that holds so many bytes, else of the largest."""
        return next((speed for held, speed in self.bandwidths if size <= held), self.bandwidths[-1][1])

    def limit(self, macs: int, size: int, arithmetic: str) -> Limit | None:
        """Return what so many multiply-adds and bytes need at least; None where there are neither."""
        compute_ms = macs / self.peaks[arithmetic] / 1e6
        memory_ms = size / self.bandwidth(size) / 1e6
        if not macs and not size:
            return None
        return Limit(compute_ms, "compute") if compute_ms >= memory_ms else Limit(memory_ms, "memory")

    def to_json(self) -> dict[str, Any]:
        """Return it for the profile's document."""
        return {
            "peak_gmacs": dict(self.peaks),
            "bandwidth_gbs": [{"bytes": size, "gbs": speed} for size, speed in self.bandwidths],
        }
