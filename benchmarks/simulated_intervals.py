"""Why intervals and verdicts are made as they are: their error rates on simulated latencies, where truth is known.

    python benchmarks/simulated_intervals.py

Each launch has a speed of its own (normal, with the given standard deviation); within it latencies are
autocorrelated with heavy tails, and bursts of another process hit a share of the rounds, in A and B alike.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mobiledeploy.statistics import Samples, Verdict, paired_ratio, summarize

REPEATS = 500
COUNT = 60
RESAMPLES = 400


def series(generator: np.random.Generator, correlation: float, sd: float) -> np.ndarray:
    """An AR(1) series with Student's t (4) innovations and a one-sided heavy tail on top."""
    steps = generator.standard_t(4, COUNT) * sd * math.sqrt((1 - correlation**2) / 2)
    values = np.empty(COUNT)
    last = steps[0] / math.sqrt(1 - correlation**2)
    for index in range(COUNT):
        last = values[index] = correlation * last + steps[index]
    return values + np.abs(generator.standard_t(3, COUNT)) * sd / 2


def bursts(generator: np.random.Generator, share: float) -> np.ndarray:
    """What another process costs in each round: nothing, or about half as much again for ten rounds."""
    cost = np.zeros(COUNT)
    for start in generator.integers(0, COUNT, generator.poisson(share * COUNT / 10)):
        cost[start : start + 10] = math.log(1.5)
    return cost


def pair(generator: np.random.Generator, launches: int, launch_sd: float, load: float) -> list[Samples]:
    """Two identical configurations of one run."""
    logs: list[list[np.ndarray]] = [[], []]
    for _ in range(launches):
        shared = generator.normal(0, 0.01) + series(generator, 0.9, 0.005)
        burst = bursts(generator, load)
        for values in logs:
            values.append(
                shared
                + generator.normal(0, launch_sd)
                + series(generator, 0.5, 0.01)
                + burst * generator.uniform(0.5, 1.2, COUNT)
            )
    launch, number = np.repeat(np.arange(launches), COUNT), np.tile(np.arange(COUNT), launches)
    started = np.arange(launches * COUNT) * 10.0
    return [Samples(10 * np.exp(np.concatenate(values)), started, launch, number) for values in logs]


def bootstrap(generator: np.random.Generator, samples: Samples, *, by_launch: bool) -> tuple[float, float]:
    """The percentile interval of the median: of samples, or of launches and then of samples within each."""
    times = samples.times_ms.reshape(-1, COUNT)
    launches, medians = len(times), []
    for _ in range(RESAMPLES):
        chosen = times[generator.integers(0, launches, launches)] if by_launch else times
        medians.append(np.median(generator.choice(chosen.ravel(), chosen.size)))
    return tuple(np.quantile(medians, [0.025, 0.975]))


def intervals() -> None:
    """How often the 95 % interval of one configuration's median covers the truth."""
    print("| launches | launch sd | samples as independent | bootstrap over launches | t over launches |")
    print("|---:|---:|---:|---:|---:|")
    for launches in (5, 8):
        for launch_sd in (0.005, 0.02):
            generator = np.random.default_rng(1)
            true = np.median([np.median(pair(generator, 8, launch_sd, 0)[0].times_ms) for _ in range(500)])
            covered = np.zeros(3)
            for _ in range(REPEATS):
                samples = pair(generator, launches, launch_sd, 0)[0]
                interval = summarize(samples).interval_ms
                found = [bootstrap(generator, samples, by_launch=flag) for flag in (False, True)]
                found.append((interval.low, interval.high))
                covered += [low <= true <= high for low, high in found]
            cells = " | ".join(f"{share:.1%}" for share in covered / REPEATS)
            print(f"| {launches} | {launch_sd:.1%} | {cells} |", flush=True)


def verdicts() -> None:
    """How often identical configurations are called faster or slower, and slowdowns are found."""
    print("| launches | launch sd | rounds disturbed | A/A wrong | A/A same | 3 % found | 5 % found |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for launches in (5, 8, 12):
        for launch_sd in (0.005, 0.012, 0.02):
            for load in (0.0, 0.2):
                generator = np.random.default_rng(2)
                counts = np.zeros(4)
                for _ in range(REPEATS):
                    a, b = pair(generator, launches, launch_sd, load)
                    same = paired_ratio(a, b).verdict()
                    found = [
                        paired_ratio(a, replace(b, times_ms=b.times_ms * factor)).verdict() is Verdict.SLOWER
                        for factor in (1.03, 1.05)
                    ]
                    counts += [same in (Verdict.FASTER, Verdict.SLOWER), same is Verdict.SAME, *found]
                cells = " | ".join(f"{share:.1%}" for share in counts / REPEATS)
                print(f"| {launches} | {launch_sd:.1%} | {load:.0%} | {cells} |", flush=True)


if __name__ == "__main__":
    intervals()
    print()
    verdicts()
