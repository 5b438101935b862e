"""Two runs, or two rows of one, beside each other: what may be compared, and what came of it."""

from mobiledeploy.compare.counts import CountedComparison, CountedRow
from mobiledeploy.compare.rows import Source, row_names
from mobiledeploy.compare.runs import compare
from mobiledeploy.compare.timings import Comparison, RowComparison

__all__ = [
    "Comparison",
    "CountedComparison",
    "CountedRow",
    "RowComparison",
    "Source",
    "compare",
    "row_names",
]
