"""What a reader must know beside a table of runs."""

from __future__ import annotations

from collections.abc import Sequence

from mobiledeploy.benchmark.record import Run
from mobiledeploy.report.run_table import mode
from mobiledeploy.statistics import Samples, diagnose, in_words


def footnotes(runs: Sequence[Run]) -> list[str]:
    """Return notes on the device and the method, on what does not count, and warnings from the data."""
    return list(dict.fromkeys(note for run in runs for note in [*_notes(run), *_warnings(run)]))


def _notes(run: Run) -> list[str]:
    parameters, device = run.document["parameters"], run.document["context"]["device"]
    notes = []
    if parameters["timed"]:
        notes.append(f"{run.device_label}, CPU. {_method(run)}")
    else:
        notes.append(f"{run.device_label}. Emulated: sizes and accuracy only, its timings are no latencies.")
    if device["kind"] == "virtual" and parameters["timed"]:
        notes.append("A virtual phone: the timings are this computer's, not a phone's.")
    if any(entry["accuracy"]["samples"]["source"] == "noise" for entry in run.benchmarks):
        notes.append("No calibration pictures: the inputs are noise, and the accuracy says little.")
    if any(entry.get("untrained") for entry in run.benchmarks):
        notes.append(
            "Untrained: random weights. Time and size mean something, what the network computes does not."
        )
    return notes


def _method(run: Run) -> str:
    samples = min((len(entry["times_ms"]) for entry in run.benchmarks), default=0)
    launches = min((len(set(entry["launch"])) for entry in run.benchmarks), default=0)
    how = {"steady": "interleaved", "sustained": "without a pause"}[mode(run)]
    started = f"{launches} launches" if launches != 1 else "one launch"
    return f"Time: median of at least {samples} inferences in {started}, wall, {how}."


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
