"""What is wrong with a measurement, and what to do next. Each rule names its source; docs/statistics.md explains.

A rule has two parts: the effect must be beyond chance (1 %), and large enough to matter to the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from mobiledeploy.statistics.dip import CRITICAL_99, dip
from mobiledeploy.statistics.interval import launches_needed, median_effective_size
from mobiledeploy.statistics.samples import Floats, Samples, chunk_medians
from mobiledeploy.statistics.summary import summarize
from mobiledeploy.statistics.trend import change_point, kendall_p, split, theil_sen

SIGNIFICANCE = 0.01
MIN_SAMPLES = 64
# Half the interval's width as a share of the median: what `compare` calls the same, statistics.DEFAULT_MARGIN.
WIDEST_INTERVAL = 0.02
DRIFT = 0.03
THROTTLED = 0.10
THROTTLED_WITH_CLOCK = 0.05
MODES_APART = 0.05
SMALLER_MODE = 0.10
# Iglewicz & Hoaglin, How to Detect and Handle Outliers (ASQC, 1993): 0.6745 |x - median| / MAD above 3.5.
MODIFIED_Z = 3.5
OUTLIER_SIZE = 0.05
OUTLIER_SHARE = 0.05
WAITING = 0.05
WAITING_SHARE = 0.10

# Enough to place a step to 1 %, few enough for the tests over all pairs.
_CHUNKS = 100


class Kind(Enum):
    """What may be wrong."""

    DRIFT = "drift"
    THROTTLING = "throttling"
    BIMODAL = "bimodal"
    OUTLIERS = "outliers"
    TOO_FEW = "too few samples"
    OTHER_PROCESS = "another process"


@dataclass(frozen=True)
class Finding:
    """A warning: what was seen in the data, and what to do next."""

    kind: Kind
    seen: str
    advice: str

    def __str__(self) -> str:
        return f"{self.seen} {self.advice}"


def diagnose(samples: Samples) -> list[Finding]:
    """Return the warnings for one configuration of at least one sample, the most telling first.

    Throttling is drift too, and said alone.
    """
    rules: list[Callable[[Samples], Finding | None]] = [
        _throttling,
        _drift,
        _other_process,
        _bimodal,
        _outliers,
        _too_few,
    ]
    found = [warning for rule in rules if (warning := rule(samples))]
    kinds = {warning.kind for warning in found}
    return [warning for warning in found if warning.kind is not Kind.DRIFT or Kind.THROTTLING not in kinds]


def in_words(findings: Sequence[tuple[str, Finding]]) -> list[str]:
    """Return one line for each kind of finding among named rows: that of its first row, and how many more there are."""
    kinds: dict[Kind, list[tuple[str, Finding]]] = {}
    for name, finding in findings:
        kinds.setdefault(finding.kind, []).append((name, finding))
    lines = []
    for (name, finding), *others in kinds.values():
        more = f" and {len(others)} more row{'s' if len(others) > 1 else ''}" if others else ""
        lines.append(f"{name}{more}: {finding}")
    return lines


def _throttling(samples: Samples) -> Finding | None:
    """A step to a slower level that stays (Pettitt's test), in CPU time where there is one, which waiting leaves be.

    Where clocks were read, they must have fallen too; then a smaller step is enough, and wall time tells it, as a
    device may also throttle by giving the process less time.
    """
    work = _work(samples) if samples.clocks is None else np.log(samples.times_ms)
    logs = chunk_medians(work, _CHUNKS)
    index, p = change_point(logs)
    if p > SIGNIFICANCE:
        return None
    step = math.expm1(float(np.median(logs[index:]) - np.median(logs[:index])))
    moment = float(chunk_medians(samples.started_ms, _CHUNKS)[index])
    clocks = _clocks_around(samples, moment)
    if clocks is not None and clocks[1] > clocks[0] * (1 - THROTTLED_WITH_CLOCK):
        return None
    if step < (THROTTLED if clocks is None else THROTTLED_WITH_CLOCK):
        return None
    known = clocks is not None or samples.cpu_ms is not None
    cause = "The device throttles" if known else "The device throttles, or another process came to work"
    seconds = (moment - samples.started_ms[0]) / 1000
    because = (
        ""
        if clocks is None
        else f" as the clock fell from {clocks[0] / 1e3:.0f} to {clocks[1] / 1e3:.0f} MHz"
    )
    return Finding(
        Kind.THROTTLING,
        f"From {seconds:.0f} s on it ran {step:.0%} slower{because}.",
        f"{cause}: let it cool down, out of its case and off the charger, or measure that on purpose with "
        "--sustained 5m.",
    )


def _work(samples: Samples) -> Floats:
    """Return the logarithms of the CPU times, or of the wall times where those are unknown or too short to have any."""
    times = samples.cpu_ms
    return np.log(samples.times_ms if times is None or not (times > 0).all() else times)


def _clocks_around(samples: Samples, moment: float) -> tuple[float, float] | None:
    """Return the median clock in kHz before and after a moment, None where either is unknown."""
    if samples.clocks is None:
        return None
    times, clocks = samples.clocks.T
    before, after = clocks[times < moment], clocks[times >= moment]
    return (float(np.median(before)), float(np.median(after))) if len(before) and len(after) else None


def _drift(samples: Samples) -> Finding | None:
    """A trend within the launches (regional Mann-Kendall, Hamed & Rao's variance), or from launch to launch."""
    logs = [np.log(chunk_medians(times, _CHUNKS)) for times in samples.by_launch(samples.times_ms)]
    clocks = [chunk_medians(started, _CHUNKS) for started in samples.by_launch(samples.started_ms)]
    within = float(
        np.median([theil_sen(clock, log) * np.ptp(clock) for clock, log in zip(clocks, logs, strict=True)])
    )
    medians = np.log(samples.launch_medians_ms())
    across = theil_sen(np.arange(len(medians), dtype=np.float64), medians) * (len(medians) - 1)
    if abs(within) >= DRIFT and kendall_p(logs) < SIGNIFICANCE:
        change, where = within, "within a launch" if len(logs) > 1 else "from start to end"
    elif abs(across) >= DRIFT and kendall_p([medians]) < SIGNIFICANCE:
        change, where = across, "from the first launch to the last"
    else:
        return None
    if change > 0:
        advice = "The device may be getting warm: let it cool down first, or see how far it goes with --sustained 5m."
    else:
        advice = "It was not warmed up, or the clock was still rising: raise --warmup."
    return Finding(Kind.DRIFT, f"Times drift by {math.expm1(change):+.0%} {where}.", advice)


def _other_process(samples: Samples) -> Finding | None:
    """Time spent waiting for a core: wall time less CPU time, of one thread or shared by several.

    With several threads some waiting is their own (one waits for another): what all samples have in common, their
    tenth percentile, is not counted.
    """
    if samples.cpu_ms is None:
        return None
    waiting = 1 - samples.cpu_ms / samples.threads / samples.times_ms
    if samples.threads > 1:
        waiting = waiting - np.quantile(waiting, 0.1)
    share = float((waiting > WAITING).mean())
    if share < WAITING_SHARE:
        return None
    lost = float(samples.times_ms @ np.clip(waiting, 0, None) / samples.times_ms.sum())
    return Finding(
        Kind.OTHER_PROCESS,
        f"In {share:.0%} of the inferences it waited for a core, {lost:.0%} of the whole time.",
        "Another process was at work: close apps, stop syncing and updates, or use fewer --threads than there are "
        "fast cores, and run it again.",
    )


def _bimodal(samples: Samples) -> Finding | None:
    """Two groups of times: Hartigan's dip with the effective sample size, split as by Otsu's criterion.

    In CPU time where there is one, which another process leaves be. Otsu, IEEE Trans. Systems, Man and Cybernetics 9
    (1979): the least variance within the groups.
    """
    work = _work(samples)
    effective = sum(median_effective_size(launch) for launch in samples.by_launch(work))
    if math.sqrt(effective) * dip(work) < CRITICAL_99:
        return None
    ordered = np.sort(work)
    slow = work >= ordered[split(ordered)]
    fast_ms, slow_ms = (float(np.median(samples.times_ms[group])) for group in (~slow, slow))
    if min(slow.mean(), 1 - slow.mean()) < SMALLER_MODE or slow_ms < fast_ms * (1 + MODES_APART):
        return None
    seen = (
        f"Two groups of times: {1 - slow.mean():.0%} around {fast_ms:.3g} ms and {slow.mean():.0%} around "
        f"{slow_ms:.3g} ms"
    )
    shares = np.array([group.mean() for group in samples.by_launch(slow.astype(np.float64))])
    if len(shares) > 1 and (np.abs(shares - 0.5) > 0.4).all():
        return Finding(
            Kind.BIMODAL,
            f"{seen}, each launch in one of them.",
            "Some launches ran on another kind of core or were hit by something: pin the core with --cores, and "
            "raise --launches.",
        )
    return Finding(
        Kind.BIMODAL,
        f"{seen}, within launches.",
        "The work probably moves between fast and slow cores: pin it with --cores.",
    )


def _outliers(samples: Samples) -> Finding | None:
    """Single slow inferences: a modified z-score above 3.5 within their launch, and 5 % over its median."""
    share = float(
        np.mean(np.concatenate([_is_outlier(times) for times in samples.by_launch(samples.times_ms)]))
    )
    if share < OUTLIER_SHARE:
        return None
    p99 = float(np.quantile(samples.times_ms, 0.99) / np.median(samples.times_ms))
    return Finding(
        Kind.OUTLIERS,
        f"{share:.0%} of the samples are outliers; the slowest 1 % take {p99:.1f} times the median or more.",
        "Something interrupts the work now and then: close apps, switch on flight mode, and trust the median rather "
        "than p99.",
    )


def _is_outlier(times: Floats) -> Floats:
    median = np.median(times)
    above = times - median
    mad = np.median(np.abs(above))
    far = (0.6745 * above > MODIFIED_Z * mad) & (above > OUTLIER_SIZE * median)
    return np.asarray(far, np.float64)


def _too_few(samples: Samples) -> Finding | None:
    """An interval wider than 2 % on either side of the median, or fewer than 64 samples."""
    summary = summarize(samples)
    if summary.samples < MIN_SAMPLES:
        return Finding(
            Kind.TOO_FEW,
            f"Only {summary.samples} samples.",
            f"Raise --runs to {MIN_SAMPLES} or more.",
        )
    if summary.half_width <= WIDEST_INTERVAL:
        return None
    if summary.launches == 1:
        advice = "Raise --launches, or measure longer with --min-time."
    elif not (needed := launches_needed(summary.half_width, summary.launches, WIDEST_INTERVAL)):
        advice = "That is more than further launches can mend: find out what disturbs the device first."
    else:
        advice = f"About --launches {needed} would bring it to ±{WIDEST_INTERVAL:.0%}."
    return Finding(
        Kind.TOO_FEW,
        f"The median is known to ±{summary.half_width:.1%} only, from {summary.samples} samples in "
        f"{summary.launches} {'launch' if summary.launches == 1 else 'launches'}.",
        advice,
    )
