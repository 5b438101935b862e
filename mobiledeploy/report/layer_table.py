"""The instructions of each layer as a table, of runs that counted them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mobiledeploy.benchmark.record import Run
from mobiledeploy.errors import UsageError
from mobiledeploy.report.formats import Table
from mobiledeploy.report.units import millions

_COLUMNS = ["CPU", "model", "precision", "layer", "type", "instructions (M)", "share (%)"]


def layer_table(runs: Sequence[Run]) -> Table:
    """Return columns and one row a layer of each configuration, in the order in which they run.

    The share is of the sum of its layers. Raises UsageError where no run counted instructions.
    """
    rows = [
        row for run in runs for entry in run.benchmarks if "instructions" in entry for row in _rows(entry)
    ]
    if not rows:
        raise UsageError(
            "no run has counted instructions", hint="`mobiledeploy benchmark --count-instructions` does."
        )
    return _COLUMNS, rows


def _rows(entry: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    layers = entry["instructions"]["layers"]
    total = sum(layer["count"] for layer in layers)
    for layer in layers:
        yield {
            "CPU": entry["instructions"]["cpu"],
            "model": entry["model"],
            "precision": entry["precision"],
            "layer": layer["name"],
            "type": layer["type"],
            "instructions (M)": millions(layer["count"]),
            "share (%)": f"{100 * layer['count'] / total:.1f}",
        }
