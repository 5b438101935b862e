"""From samples to figures, verdicts and warnings. Arrays in, plain values out; docs/statistics.md explains each."""

from __future__ import annotations

from mobiledeploy.statistics.compare import DEFAULT_MARGIN, Ratio, Verdict, paired_ratio, unpaired_ratio
from mobiledeploy.statistics.diagnostics import Finding, Kind, diagnose, in_words
from mobiledeploy.statistics.interval import Interval
from mobiledeploy.statistics.paced import Paced, paced_figures
from mobiledeploy.statistics.samples import Samples
from mobiledeploy.statistics.summary import (
    Cold,
    MinMaxAverage,
    Summary,
    cold_figures,
    summarize,
    upstream_figures,
)
from mobiledeploy.statistics.sustained import Sustained, sustained_figures

__all__ = [
    "DEFAULT_MARGIN",
    "Cold",
    "Finding",
    "Interval",
    "Kind",
    "MinMaxAverage",
    "Paced",
    "Ratio",
    "Samples",
    "Summary",
    "Sustained",
    "Verdict",
    "cold_figures",
    "diagnose",
    "in_words",
    "paced_figures",
    "paired_ratio",
    "summarize",
    "sustained_figures",
    "unpaired_ratio",
    "upstream_figures",
]
