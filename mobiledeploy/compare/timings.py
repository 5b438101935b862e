"""Rows compared by their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from mobiledeploy.compare.rows import Named
from mobiledeploy.statistics import (
    Kind,
    Ratio,
    Samples,
    Verdict,
    diagnose,
    in_words,
    paired_ratio,
    summarize,
    unpaired_ratio,
)


@dataclass(frozen=True)
class RowComparison:
    """One row of A beside one of B, by their names."""

    model: str
    a: str
    b: str
    a_ms: float
    b_ms: float
    ratio: Ratio
    verdict: Verdict

    @property
    def at_least(self) -> float:
        """By how much B is slower, at least: 0.05 for 5 %."""
        return self.ratio.interval.low - 1


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: a row for each pair, and notes on what a reader must know."""

    rows: tuple[RowComparison, ...]
    notes: tuple[str, ...]
    margin: float
    worse: ClassVar[str] = "slower"

    def regressions(self, allowed: float) -> list[RowComparison]:
        """Return the rows that are slower by more than `allowed` (0.05 for 5 %), with the whole interval."""
        return [row for row in self.rows if row.ratio.launches > 1 and row.ratio.interval.low > 1 + allowed]

    def to_json(self) -> dict[str, Any]:
        """Return it for a JSON document."""
        rows = [{**asdict(row), "verdict": row.verdict.value} for row in self.rows]
        return {"kind": "comparison", "margin": self.margin, "rows": rows, "notes": list(self.notes)}


def compare_times(a: Named, b: Named, *, margin: float, same_file: bool) -> RowComparison:
    """Compare two rows; those of one file launch by launch and round by round."""
    (name_a, entry_a), (name_b, entry_b) = a, b
    samples_a, samples_b = Samples.from_entry(entry_a), Samples.from_entry(entry_b)
    ratio = (paired_ratio if same_file else unpaired_ratio)(samples_a, samples_b)
    return RowComparison(
        model=entry_a["model"],
        a=name_a,
        b=name_b,
        a_ms=summarize(samples_a).median_ms,
        b_ms=summarize(samples_b).median_ms,
        ratio=ratio,
        verdict=ratio.verdict(margin),
    )


def warnings_of(side: str, rows: Sequence[Named]) -> list[str]:
    """Return what the samples warn of that shifts one run and not the other; the interval tells of too few samples."""
    return in_words(
        [
            (f"{side} {name}", finding)
            for name, entry in rows
            for finding in diagnose(Samples.from_entry(entry))
            if finding.kind not in (Kind.TOO_FEW, Kind.OUTLIERS)
        ]
    )


def advice_on(rows: Sequence[RowComparison], margin: float) -> list[str]:
    """Return what would settle the rows that are inconclusive."""
    open_rows = [row for row in rows if row.verdict is Verdict.INCONCLUSIVE]
    if not open_rows:
        return []
    if any(row.ratio.launches < 2 for row in open_rows):
        return [
            "Inconclusive: one launch can't tell a network from its placement in memory; raise --launches."
        ]
    needed = [row.ratio.launches_to_settle(margin) for row in open_rows]
    if None in needed:
        return [
            "Inconclusive: too much noise for more launches to help; run both in one `mobiledeploy benchmark`."
        ]
    return [f"Inconclusive: about --launches {max(filter(None, needed))} would settle it."]
