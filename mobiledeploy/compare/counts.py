"""Rows compared by the instructions of an inference."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from mobiledeploy.compare.rows import Named


@dataclass(frozen=True)
class CountedRow:
    """One row of A beside one of B, by their names, in instructions an inference."""

    model: str
    a: str
    b: str
    a_instructions: int
    b_instructions: int
    verdict: Literal["more", "fewer", "the same"]

    @property
    def at_least(self) -> float:
        """By how much B has more: 0.05 for 5 %. A count repeats, so that there is no interval."""
        return self.b_instructions / self.a_instructions - 1


@dataclass(frozen=True)
class CountedComparison:
    """What `compare` found in runs that counted instructions."""

    rows: tuple[CountedRow, ...]
    notes: tuple[str, ...]
    margin: float
    worse: ClassVar[str] = "more instructions"

    def regressions(self, allowed: float) -> list[CountedRow]:
        """Return the rows with more instructions by more than `allowed` (0.01 for 1 %)."""
        return [row for row in self.rows if row.at_least > allowed]

    def to_json(self) -> dict[str, Any]:
        """Return it for a JSON document."""
        return {"kind": "comparison", **asdict(self)}


def compare_counts(a: Named, b: Named, margin: float) -> CountedRow:
    """Compare two rows; less than the margin is the same."""
    (name_a, entry_a), (name_b, entry_b) = a, b
    count_a, count_b = entry_a["instructions"]["median"], entry_b["instructions"]["median"]
    within = 1 / (1 + margin) <= count_b / count_a <= 1 + margin
    verdict: Literal["more", "fewer", "the same"] = (
        "the same" if within else "more" if count_b > count_a else "fewer"
    )
    return CountedRow(entry_a["model"], name_a, name_b, count_a, count_b, verdict)
