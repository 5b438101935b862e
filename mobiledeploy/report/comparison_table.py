"""A comparison as a table: one row for each pair."""

from __future__ import annotations

from mobiledeploy.compare import Comparison, CountedComparison, CountedRow, RowComparison
from mobiledeploy.report.formats import Table
from mobiledeploy.report.units import millions, milliseconds
from mobiledeploy.statistics import Verdict


def comparison_table(comparison: Comparison | CountedComparison) -> Table:
    """Return columns and one row for each pair; the ratio is the time, or the instructions, of B over that of A."""
    if isinstance(comparison, CountedComparison):
        columns = ["model", "A", "B", "A (M instructions)", "B (M instructions)", "B / A", "verdict"]
        return columns, [_counted_row(row, comparison.margin) for row in comparison.rows]
    columns = ["model", "A", "B", "A (ms)", "B (ms)", "B / A", "95 % interval", "verdict"]
    return columns, [_row(row, comparison.margin) for row in comparison.rows]


def _row(row: RowComparison, margin: float) -> dict[str, object]:
    interval = row.ratio.interval
    return {
        "model": row.model,
        "A": row.a,
        "B": row.b,
        "A (ms)": milliseconds(row.a_ms),
        "B (ms)": milliseconds(row.b_ms),
        "B / A": f"{row.ratio.ratio:.3f}",
        "95 % interval": f"{interval.low:.3f}–{interval.high:.3f}",
        "verdict": _within(margin) if row.verdict is Verdict.SAME else row.verdict.value,
    }


def _counted_row(row: CountedRow, margin: float) -> dict[str, object]:
    return {
        "model": row.model,
        "A": row.a,
        "B": row.b,
        "A (M instructions)": millions(row.a_instructions),
        "B (M instructions)": millions(row.b_instructions),
        "B / A": f"{row.b_instructions / row.a_instructions:.4f}",
        "verdict": _within(margin) if row.verdict == "the same" else row.verdict,
    }


def _within(margin: float) -> str:
    return f"the same within {100 * margin:.3g} %"
