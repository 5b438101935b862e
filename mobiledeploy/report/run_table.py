"""Runs as a table: one row a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mobiledeploy.benchmark.record import Run
from mobiledeploy.report.bundle_table import Table
from mobiledeploy.report.units import megabytes, milliseconds

UNTRAINED = "untrained"


def run_table(runs: Sequence[Run]) -> Table:
    """Return columns and one row a configuration of all runs.

    `time` is the median, `p90` the 90th percentile of the samples. They are empty where the device was emulated,
    as those timings are no latencies. The columns device, weights, threads and mask IoU are left out where they would
    say nothing.
    """
    rows = [_row(run, entry) for run in runs for entry in run.benchmarks]
    columns = ["model", "precision", "model size (M)", "time (ms)", "p90 (ms)"]
    if len({row["threads"] for row in rows}) > 1:
        columns.insert(2, "threads")
    if any(row["weights"] == UNTRAINED for row in rows):
        columns.insert(1, "weights")
    if len({row["device"] for row in rows}) > 1:
        columns.insert(0, "device")
    if any("mask IoU vs fp32" in row for row in rows):
        columns.append("mask IoU vs fp32")
    else:
        columns.append("max error vs fp32")
    return columns, rows


def _row(run: Run, entry: Mapping[str, Any]) -> dict[str, object]:
    accuracy = entry["accuracy"]
    row: dict[str, object] = {
        "device": run.device_label,
        "model": entry["model"],
        "weights": UNTRAINED if entry.get("untrained") else "trained",
        "precision": entry["precision"],
        "threads": entry["threads"],
        "model size (M)": megabytes(entry["size_bytes"]),
        "max error vs fp32": f"{max(figures['max_abs'] for figures in accuracy['outputs'].values()):.1e}",
    }
    if entry["times_ms"]:
        median, p90 = np.percentile(entry["times_ms"], [50, 90])
        row |= {"time (ms)": milliseconds(median), "p90 (ms)": milliseconds(p90)}
    if "mask_iou" in accuracy and not entry.get("untrained"):
        row["mask IoU vs fp32"] = f"{accuracy['mask_iou']:.4f}"
    return row


def footnotes(runs: Sequence[Run]) -> list[str]:
    """Return what a reader must know beside the table: the device, how it was measured, what does not count."""
    return list(dict.fromkeys(note for run in runs for note in _notes(run)))


def _notes(run: Run) -> list[str]:
    parameters, device = run.document["parameters"], run.document["context"]["device"]
    notes = []
    if parameters["timed"]:
        samples = min((len(entry["times_ms"]) for entry in run.benchmarks), default=0)
        notes.append(
            f"{run.device_label}, CPU. Time: median of at least {samples} inferences, wall, interleaved."
        )
    else:
        notes.append(f"{run.device_label}. Emulated: sizes and accuracy only, its timings are no latencies.")
    if device["kind"] == "virtual" and parameters["timed"]:
        notes.append("A virtual phone: the timings are this computer's, not a phone's.")
    if any(entry.get("untrained") for entry in run.benchmarks):
        notes.append(
            "Untrained: random weights. Time and size mean something, what the network computes does not."
        )
    if any(entry["accuracy"]["samples"]["source"] == "noise" for entry in run.benchmarks):
        notes.append("No calibration pictures: the inputs are noise, and the accuracy says little.")
    return notes
