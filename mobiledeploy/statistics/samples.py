"""The samples of one configuration, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Every timed inference of one configuration, in the order in which they ran.

    `times_ms`, `started_ms` (the device's monotonic clock), `launch` (which process launch, from 0) and `round`
    (within its launch) are (N,); `cpu_ms`, the CPU time of the process during each inference, is (N,) or None.
    `due_ms`, the tick of the clock that a paced inference waited for, is (N,) or None.
    `clocks` is (M, 2) of (clock in ms, core's clock in kHz), or None where it was not read.
    """

    times_ms: Floats
    started_ms: Floats
    launch: Ints
    round: Ints
    threads: int = 1
    cpu_ms: Floats | None = None
    clocks: Floats | None = None
    due_ms: Floats | None = None

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Samples:
        """Read one entry of a run's `benchmarks`."""
        launch = np.asarray(entry["launch"], np.int64)
        started = np.asarray(entry["started_ms"], np.float64)
        order = np.lexsort((started, launch))
        cpu, clocks, due = entry.get("cpu_ms"), entry.get("clocks"), entry.get("due_ms")
        return cls(
            np.asarray(entry["times_ms"], np.float64)[order],
            started[order],
            launch[order],
            np.asarray(entry["round"], np.int64)[order],
            threads=int(entry["threads"]),
            cpu_ms=None if cpu is None else np.asarray(cpu, np.float64)[order],
            clocks=np.asarray(clocks, np.float64).reshape(-1, 2) if clocks else None,
            due_ms=None if due is None else np.asarray(due, np.float64)[order],
        )

    def by_launch(self, values: Floats) -> list[Floats]:
        """Split an (N,) array that belongs to these samples into one array a launch."""
        return [values[self.launch == number] for number in np.unique(self.launch)]

    def launch_medians_ms(self) -> Floats:
        """Return each launch's median time, (launches,)."""
        return np.array([np.median(times) for times in self.by_launch(self.times_ms)])


def chunk_medians(values: Floats, chunks: int) -> Floats:
    """Return the medians of at most `chunks` equal consecutive pieces of an (N,) array."""
    pieces: Sequence[Floats] = np.array_split(values, min(chunks, len(values)))
    return np.array([np.median(piece) for piece in pieces])
