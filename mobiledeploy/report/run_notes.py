"""What a reader must know beside a table of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mobiledeploy.benchmark.record import Run
from mobiledeploy.report.run_table import mode
from mobiledeploy.report.units import milliseconds
from mobiledeploy.statistics import Samples, diagnose, in_words, sustained_figures
from mobiledeploy.statistics.samples import chunk_medians
from mobiledeploy.statistics.sustained import WINDOW_S

_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVE_POINTS = 60


def footnotes(runs: Sequence[Run]) -> list[str]:
    """Return notes on the device and the method, on what does not count, curves, and warnings from the data."""
    notes = [note for run in runs for note in [*_notes(run), *_curves(run), *_warnings(run)]]
    return list(dict.fromkeys(notes))


def _notes(run: Run) -> list[str]:
    parameters, device = run.document["parameters"], run.document["context"]["device"]
    notes = []
    if parameters["timed"]:
        notes.append(f"{run.device_label}, CPU. {_method(run)}")
    else:
        notes.append(f"{run.device_label}. Emulated: sizes and accuracy only, its timings are no latencies.")
    notes += [_counted(entry["instructions"]) for entry in run.benchmarks if "instructions" in entry][:1]
    if device["kind"] == "virtual" and parameters["timed"]:
        notes.append("A virtual phone: the timings are this computer's, not a phone's.")
    if any(entry["accuracy"]["samples"]["source"] == "noise" for entry in run.benchmarks):
        notes.append("No calibration pictures: the inputs are noise, and the accuracy says little.")
    if any(entry.get("untrained") for entry in run.benchmarks):
        notes.append(
            "Untrained: random weights. Time and size mean something, what the network computes does not."
        )
    return notes


def _counted(instructions: Mapping[str, Any]) -> str:
    return (
        f"Instructions: median of {len(instructions['per_inference'])} inferences in one thread, as a "
        f"{instructions['cpu']} executes them, counted by {instructions['emulator']}. They say nothing of memory, "
        "stalls and clocks: compare them with each other, not with times."
    )


def _method(run: Run) -> str:
    samples = min((len(entry["times_ms"]) for entry in run.benchmarks), default=0)
    launches = min((len(set(entry["launch"])) for entry in run.benchmarks), default=0)
    how = {"steady": "interleaved", "sustained": "without a pause"}[mode(run)]
    started = f"{launches} launches" if launches != 1 else "one launch"
    return f"Time: median of at least {samples} inferences in {started}, wall, {how}."


def _curves(run: Run) -> list[str]:
    """Draw the curve of a sustained run: higher is slower, from no time at all to the slowest."""
    if mode(run) != "sustained":
        return []
    lines = []
    for entry in run.benchmarks:
        curve = sustained_figures(Samples.from_entry(entry)).curve
        medians = chunk_medians(np.array([median for _, median in curve]), _CURVE_POINTS)
        steps = np.ceil(medians / medians.max() * len(_BLOCKS)).astype(int) - 1
        drawn = "".join(_BLOCKS[step] for step in steps)
        seconds = curve[-1][0] - curve[0][0] + WINDOW_S
        lines.append(
            f"{entry['model']} {entry['name']} over {seconds:.0f} s: {drawn} "
            f"({milliseconds(float(medians.min()))} to {milliseconds(float(medians.max()))} ms)"
        )
    return lines


def _warnings(run: Run) -> list[str]:
    """Return the warnings of all rows; a sustained run is meant to drift and throttle, and has its own figures."""
    if mode(run) == "sustained":
        return []
    return in_words(
        [
            (f"{entry['model']} {entry['name']}", finding)
            for entry in run.benchmarks
            if entry["times_ms"]
            for finding in diagnose(Samples.from_entry(entry))
        ]
    )
