"""The headline figures of one configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mobiledeploy.statistics.interval import Interval, median_effective_size, median_interval, t_margin
from mobiledeploy.statistics.samples import Samples

# Below so many samples the 99th percentile is little else than the largest of them.
MIN_SAMPLES_FOR_P99 = 100
UPSTREAM_LOOPS = 4


@dataclass(frozen=True)
class Summary:
    """Of all samples, in ms. `p99_ms` is None where the samples are too few to have one.

    `mad_ms` is the median absolute deviation, unscaled. `effective` is the effective sample size.
    """

    median_ms: float
    interval_ms: Interval
    p90_ms: float
    p99_ms: float | None
    mad_ms: float
    samples: int
    effective: float
    launches: int

    @property
    def half_width(self) -> float:
        """Half the interval's width as a share of the median."""
        return (self.interval_ms.high - self.interval_ms.low) / 2 / self.median_ms


def summarize(samples: Samples) -> Summary:
    """Return the headline figures of at least one sample.

    The interval of the median respects that samples of one process launch resemble each other: a freshly loaded
    network keeps its placement in memory, and with it some per cent of its speed, until the process ends. So the
    launch is what is replicated (Georges, Buytaert & Eeckhout, Statistically rigorous Java performance evaluation,
    OOPSLA 2007; Kalibera & Jones, Rigorous benchmarking in reasonable time, ISMM 2013): Student's t over the
    logarithms of the launches' medians, around the median of all. With one launch it is `median_interval`, which
    knows nothing of what another launch would have given.
    """
    times = samples.times_ms
    median, p90, p99 = (float(value) for value in np.quantile(times, [0.5, 0.9, 0.99]))
    medians = samples.launch_medians_ms()
    return Summary(
        median_ms=median,
        interval_ms=_over_launches(median, np.log(medians)) if len(medians) > 1 else median_interval(times),
        p90_ms=p90,
        p99_ms=p99 if len(times) >= MIN_SAMPLES_FOR_P99 else None,
        mad_ms=float(np.median(np.abs(times - median))),
        samples=len(times),
        effective=sum(median_effective_size(launch) for launch in samples.by_launch(times)),
        launches=len(medians),
    )


def _over_launches(centre: float, logarithms: np.ndarray) -> Interval:
    count = len(logarithms)
    margin = t_margin(float(logarithms.std(ddof=1)) / math.sqrt(count), count - 1)
    return Interval(centre * math.exp(-margin), centre * math.exp(margin))


@dataclass(frozen=True)
class MinMaxAverage:
    """What ncnn's own benchmark prints, in ms."""

    min_ms: float
    max_ms: float
    average_ms: float


def upstream_figures(samples: Samples) -> MinMaxAverage:
    """Return the minimum, maximum and average of the first launch's first four samples.

    As upstream's benchncnn does with its default of 4 loops after a warm-up, for whoever compares with it.
    """
    times = samples.by_launch(samples.times_ms)[0][:UPSTREAM_LOOPS]
    return MinMaxAverage(float(times.min()), float(times.max()), float(times.mean()))


@dataclass(frozen=True)
class Cold:
    """What the first inference costs, each the median over launches in ms.

    `process_ms` is the start of the process, None where it was not measured; `load_ms` reads the model, `first_ms`
    is the first inference.
    """

    process_ms: float | None
    load_ms: float
    first_ms: float
    launches: int


def cold_figures(launches: Sequence[Mapping[str, Any]]) -> Cold:
    """Return the cold figures of a run entry's `launches`."""
    process = [launch["process_ms"] for launch in launches if launch.get("process_ms") is not None]
    return Cold(
        process_ms=float(np.median(process)) if process else None,
        load_ms=float(np.median([launch["load_ms"] for launch in launches])),
        first_ms=float(np.median([launch["first_ms"] for launch in launches])),
        launches=len(launches),
    )
