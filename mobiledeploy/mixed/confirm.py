"""Whole mixes beside the uniform variants on the device: which one is the fastest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mobiledeploy.benchmark import Method, Plan
from mobiledeploy.mixed.trial import EXACT, TrialBench, whole_price
from mobiledeploy.statistics import Samples, paired_ratio
from ncnn_tools.graph import Graph

METHOD = Method(launches=8, warmup_runs=2, max_warmup_ms=500, min_runs=160, min_time_ms=0, max_time_ms=90_000)


@dataclass(frozen=True)
class Contest:
    """What each contender took as a whole: `wholes` in the bench's unit, and `relative` to fp32.

    `relative` is of pairs of inferences that ran in the same round, so that it is the better one to choose by.
    """

    wholes: Mapping[str, float]
    relative: Mapping[str, float]

    def fastest(self, among: list[str]) -> str:
        """Return the contender that took the least; of equals the first."""
        return min(among, key=lambda name: self.relative[name])


def contest(bench: TrialBench, contenders: Mapping[str, Graph]) -> Contest:
    """Run whole graphs against each other, interleaved, in several processes and loading orders; or count.

    One of them is fp32. Errors as `benchmark` raises them.
    """
    if not bench.timed:
        wholes = {name: prices.whole for name, prices in bench.prices(contenders).items()}
        return Contest(wholes, {name: price / wholes[EXACT] for name, price in wholes.items()})
    entries = {entry["precision"]: entry for entry in bench.run(contenders, Plan(method=METHOD)).benchmarks}
    wholes = {name: whole_price(entry) for name, entry in entries.items()}
    return Contest(wholes, {name: _ratio(entries[EXACT], entry) for name, entry in entries.items()})


def _ratio(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    return paired_ratio(Samples.from_entry(a), Samples.from_entry(b)).ratio
