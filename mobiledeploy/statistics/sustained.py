"""Minutes on end: the curve of latency, when the device throttles, and how much of its speed it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mobiledeploy.statistics.samples import Samples
from mobiledeploy.statistics.trend import segments

WINDOW_S = 1.0
# A level holds for at least so many windows, and is another one at 1 % significance.
_SHORTEST_LEVEL = 5
_SIGNIFICANCE = 0.01
# Slower by less is not called throttling.
THROTTLED = 0.05


@dataclass(frozen=True)
class Sustained:
    """A long run. `curve` has (seconds since the start, median ms) of each window that has samples.

    `steady_ms` is the speed before any throttling, `final_ms` that at the end, each the median of a level of the
    curve. `throttled_after_s` is None where the device did not throttle.
    """

    curve: tuple[tuple[float, float], ...]
    steady_ms: float
    final_ms: float
    throttled_after_s: float | None

    @property
    def kept(self) -> float:
        """The share of the steady speed that is left at the end; above 1 where it got faster."""
        return self.steady_ms / self.final_ms


def sustained_figures(samples: Samples, steady_ms: float | None = None) -> Sustained:
    """Return the figures of a long run of at least one sample.

    The curve is cut into levels by repeated change-point tests (`trend.segments`: Pettitt 1979, Scott & Knott 1974).
    The steady level is the first, unless `steady_ms`, from a run in steady mode, is given. The device throttles when
    the first level begins that is 5 % slower than that.
    """
    seconds = (samples.started_ms - samples.started_ms.min()) / 1000
    windows = np.floor(seconds / WINDOW_S).astype(np.int64)
    used = np.unique(windows)
    medians = np.array([np.median(samples.times_ms[windows == window]) for window in used])
    levels = segments(medians, _SIGNIFICANCE, _SHORTEST_LEVEL)
    speeds = [float(np.median(medians[level])) for level in levels]
    steady = speeds[0] if steady_ms is None else steady_ms
    slow = [
        level.start for level, speed in zip(levels, speeds, strict=True) if speed >= steady * (1 + THROTTLED)
    ]
    return Sustained(
        curve=tuple((float(w * WINDOW_S), float(median)) for w, median in zip(used, medians, strict=True)),
        steady_ms=steady,
        final_ms=speeds[-1],
        throttled_after_s=float(used[slow[0]] * WINDOW_S) if slow else None,
    )
