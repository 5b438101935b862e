"""Runs as a table: one row a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mobiledeploy.benchmark.record import Run
from mobiledeploy.report.formats import Table
from mobiledeploy.report.units import megabytes, millions, milliseconds
from mobiledeploy.statistics import (
    Samples,
    Summary,
    cold_figures,
    paced_figures,
    summarize,
    sustained_figures,
    upstream_figures,
)

UNTRAINED = "untrained"
# Shown with `details` only.
_DETAILS = [
    "p99 (ms)",
    "MAD (ms)",
    "samples",
    "effective",
    "launches",
    "process start (ms)",
    "load (ms)",
    "first (ms)",
    "4 loops min/max/avg (ms)",
]
# Of runs in another mode than steady; shown where a row has one.
_OF_A_MODE = [
    "steady speed kept",
    "throttled after (s)",
    "paced (ms)",
    "deadlines missed",
    "paced vs back to back",
]


def run_table(runs: Sequence[Run], *, details: bool = False) -> Table:
    """Return columns and one row a configuration of all runs.

    `time` is the median and `p90` the 90th percentile of the samples; the interval is that of the median. They are
    empty where the device was emulated, as those timings are no latencies, and left out where all rows have a count
    of instructions instead. Columns are left out where they would say nothing: device, weights, threads, mode and
    mask IoU. `details` adds the other figures of docs/statistics.md.
    """
    rows = [_row(run, entry, runs) for run in runs for entry in run.benchmarks]
    columns = [name for name in _IDENTITY if _tells(rows, name)]
    columns.append("model size (M)")
    counted = [_COUNTED in row for row in rows]
    columns += [_COUNTED] if any(counted) else []
    columns += [] if all(counted) else ["time (ms)", "p90 (ms)", "time 95 % interval (ms)"]
    columns += [name for name in _OF_A_MODE if any(name in row for row in rows)]
    columns += _DETAILS if details else []
    masked = any("mask IoU vs fp32" in row for row in rows)
    return [*columns, "mask IoU vs fp32" if masked else "max error vs fp32"], rows


_COUNTED = "instructions (M)"
_IDENTITY = ("device", "model", "weights", "precision", "threads", "cores", "mode")


def _tells(rows: Sequence[Mapping[str, object]], column: str) -> bool:
    values = {row[column] for row in rows}
    return column in ("model", "precision") or len(values) > 1 or UNTRAINED in values


def _row(run: Run, entry: Mapping[str, Any], runs: Sequence[Run]) -> dict[str, object]:
    accuracy = entry["accuracy"]
    row: dict[str, object] = {
        "device": run.device_label,
        "model": entry["model"],
        "weights": UNTRAINED if entry.get("untrained") else "trained",
        "precision": entry["precision"],
        "threads": entry["threads"],
        "cores": (entry.get("affinity") or {}).get("requested") or "any",
        "mode": mode(run),
        "model size (M)": megabytes(entry["size_bytes"]),
        "max error vs fp32": f"{max(figures['max_abs'] for figures in accuracy['outputs'].values()):.1e}",
    }
    if "mask_iou" in accuracy and not entry.get("untrained"):
        row["mask IoU vs fp32"] = f"{accuracy['mask_iou']:.4f}"
    if "instructions" in entry:
        row[_COUNTED] = millions(entry["instructions"]["median"])
    if entry["times_ms"]:
        samples = Samples.from_entry(entry)
        summary = summarize(samples)
        row |= _headline(summary) | _details(samples, summary, entry["launches"])
        row |= _of_mode(run, entry, samples, runs)
    return row


def mode(run: Run) -> str:
    """Return how a run was measured: steady or sustained."""
    return str(run.document["parameters"].get("mode", "steady"))


def _headline(summary: Summary) -> dict[str, object]:
    interval = summary.interval_ms
    return {
        "time (ms)": milliseconds(summary.median_ms),
        "time 95 % interval (ms)": f"{milliseconds(interval.low)}–{milliseconds(interval.high)}",
        "p90 (ms)": milliseconds(summary.p90_ms),
    }


def _details(samples: Samples, summary: Summary, launches: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    upstream = upstream_figures(samples)
    row: dict[str, object] = {
        "MAD (ms)": milliseconds(summary.mad_ms),
        "samples": summary.samples,
        "effective": round(summary.effective),
        "launches": summary.launches,
        "4 loops min/max/avg (ms)": " / ".join(
            milliseconds(value) for value in (upstream.min_ms, upstream.max_ms, upstream.average_ms)
        ),
    }
    if summary.p99_ms is not None:
        row["p99 (ms)"] = milliseconds(summary.p99_ms)
    if launches:
        cold = cold_figures(launches)
        row |= {"load (ms)": milliseconds(cold.load_ms), "first (ms)": milliseconds(cold.first_ms)}
        if cold.process_ms is not None:
            row["process start (ms)"] = milliseconds(cold.process_ms)
    return row


def _of_mode(run: Run, entry: Mapping[str, Any], samples: Samples, runs: Sequence[Run]) -> dict[str, object]:
    """Return the figures that only a sustained run has, or one that was measured at a pace too."""
    row: dict[str, object] = {}
    if mode(run) == "sustained":
        steady = _steady_beside(run, entry, runs)
        sustained = sustained_figures(samples, summarize(steady).median_ms if steady else None)
        after = sustained.throttled_after_s
        row["steady speed kept"] = f"{sustained.kept:.0%}"
        row["throttled after (s)"] = "never" if after is None else f"{after:.0f}"
    if "paced" in entry:
        at_pace = Samples.from_entry({**entry["paced"], "threads": entry["threads"]})
        paced = paced_figures(at_pace, run.document["parameters"]["pace_hz"], samples)
        row["paced (ms)"] = milliseconds(paced.summary.median_ms)
        row["deadlines missed"] = f"{paced.missed:.1%}"
        row["paced vs back to back"] = f"{paced.gap.ratio:.2f}"
    return row


def _steady_beside(run: Run, entry: Mapping[str, Any], runs: Sequence[Run]) -> Samples | None:
    """Return the same configuration's samples in a steady run of the same device, if one is given."""

    def identity(run: Run, entry: Mapping[str, Any]) -> tuple[object, ...]:
        return run.device_label, entry["model"], entry["precision"], entry["threads"], entry.get("affinity")

    for other in runs:
        for candidate in other.benchmarks if mode(other) == "steady" else ():
            if identity(other, candidate) == identity(run, entry) and candidate["times_ms"]:
                return Samples.from_entry(candidate)
    return None
