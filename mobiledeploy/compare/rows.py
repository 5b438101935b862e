"""The rows of runs: their names, and which of one run is the same as which of another."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobiledeploy.benchmark import Run
from mobiledeploy.errors import UsageError

Entry = Mapping[str, Any]
# An entry with the name of its row.
Named = tuple[str, Entry]


@dataclass(frozen=True)
class Source:
    """A run's file, and a row in it by name, or None for all."""

    path: Path
    row: str | None = None

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read FILE or FILE:ROW."""
        if ":" not in text or Path(text).exists():
            return cls(Path(text))
        path, _, row = text.rpartition(":")
        return cls(Path(path), row)


def row_names(entries: Sequence[Entry]) -> list[str]:
    """Return the entries' names, MODEL/ before them where there are several models.

    The second of one name (two bundles of one model) gets .2, and so on.
    """
    several = len({entry["model"] for entry in entries}) > 1
    seen: Counter[str] = Counter()
    names = []
    for entry in entries:
        name = f"{entry['model']}/{entry['name']}" if several else entry["name"]
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return names


def listed(run: Run) -> str:
    """Return the names of a run's rows, for a message."""
    return ", ".join(row_names(run.benchmarks))


def find_row(path: Path, run: Run, row: str) -> Named:
    """Return the row of that name; UsageError names those that there are."""
    for name, entry in zip(row_names(run.benchmarks), run.benchmarks, strict=True):
        if name == row:
            return name, entry
    raise UsageError(f"{path}: has no row {row!r}", hint=f"It has {listed(run)}.")


def matching_rows(run_a: Run, run_b: Run) -> tuple[list[tuple[Named, Named]], list[str]]:
    """Return the pairs of rows of the same model, precision, threads, cores and options, and notes on the rest."""
    rows_a, rows_b = _keyed(run_a), _keyed(run_b)
    pairs = [(row, rows_b[key]) for key, row in rows_a.items() if key in rows_b]
    if not pairs:
        raise UsageError(
            "the runs have no row of the same model, precision, threads, cores and options",
            hint=f"A has {listed(run_a)}; B has {listed(run_b)}. Name one of each as FILE:ROW.",
        )
    notes = [f"Only in A: {name}." for key, (name, _) in rows_a.items() if key not in rows_b]
    return pairs, notes + [f"Only in B: {name}." for key, (name, _) in rows_b.items() if key not in rows_a]


def _keyed(run: Run) -> dict[tuple[object, ...], Named]:
    """Return the rows by what makes them the same in another run, repeated ones counted."""
    rows: dict[tuple[object, ...], Named] = {}
    seen: Counter[tuple[object, ...]] = Counter()
    for name, entry in zip(row_names(run.benchmarks), run.benchmarks, strict=True):
        cores = (entry.get("affinity") or {}).get("requested")
        options = json.dumps(entry.get("options"), sort_keys=True)
        row = (entry["model"], entry["precision"], entry["threads"], cores, options)
        seen[row] += 1
        key = (*row, seen[row])
        rows[key] = (name, entry)
    return rows
