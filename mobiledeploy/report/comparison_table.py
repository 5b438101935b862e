"""A comparison as a table: one row for each pair."""

from __future__ import annotations

from mobiledeploy.compare import Comparison, RowComparison
from mobiledeploy.report.bundle_table import Table
from mobiledeploy.report.units import milliseconds
from mobiledeploy.statistics import Verdict


def comparison_table(comparison: Comparison) -> Table:
    """Return columns and one row for each pair; the ratio is the time of B over that of A."""
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
        "verdict": f"the same within {100 * margin:.3g} %"
        if row.verdict is Verdict.SAME
        else row.verdict.value,
    }
