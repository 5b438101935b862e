"""One configuration's part of a run's record, put together from all launches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mobiledeploy.benchmark.journal import Phase, Sample
from mobiledeploy.benchmark.partial import Launch
from mobiledeploy.benchmark.plan import Configuration
from mobiledeploy.benchmark.watches import clocks_of


def make_entry(
    configuration: Configuration, index: int, launches: Sequence[Launch], manifests: Mapping[Path, str]
) -> dict[str, Any]:
    """Return the entry of the configuration with this number, without its accuracy.

    `launches` holds what is true of each process; the samples of all of them stand in flat lists of equal
    length, with the launch that each belongs to.
    """
    bundle = configuration.bundle
    loaded = [launch.journal.loaded[launch.order.index(index)] for launch in launches]
    peaks = [entry["peak_memory_bytes"] for entry in loaded if entry["peak_memory_bytes"] is not None]
    entry = {
        "model": bundle.name,
        "name": configuration.name,
        "bundle": {"path": str(bundle.path), "manifest_sha256": manifests[bundle.path]},
        "untrained": bundle.untrained,
        "precision": configuration.precision,
        "threads": configuration.threads,
        "spin_percent": configuration.spin_percent,
        "size_bytes": bundle.variant(configuration.precision).size_bytes,
        "options": loaded[0]["options"],
        "affinity": loaded[0]["affinity"],
        "peak_memory_bytes": max(peaks, default=None),
        "launches": [
            {
                "position": launch.order.index(index),
                "process_ms": (launch.journal.begin or {}).get("process_ms"),
                "load_ms": of_launch["load_ms"],
                "first_ms": of_launch["first_ms"],
                "affinity": of_launch["affinity"]["obtained"],
                "warmup_ms": [sample.time_ms for sample in _samples(launch, index, "warmup")],
            }
            for launch, of_launch in zip(launches, loaded, strict=True)
        ],
        **_columns(launches, index, "steady"),
        "clocks": [
            row
            for launch, of_launch in zip(launches, loaded, strict=True)
            for row in clocks_of(launch.journal.readings, of_launch["affinity"]["obtained"])
        ],
    }
    if paced := _columns(launches, index, "paced"):
        entry["paced"] = paced
    if layers := _layers(launches, index):
        entry["layers"] = layers
    return entry


def _layers(launches: Sequence[Launch], index: int) -> dict[str, Any]:
    """Return the network as it ran, and the inferences with times of layers; nothing where there are none."""
    places = [launch.order.index(index) for launch in launches]
    rows = [
        (number, times)
        for number, (launch, place) in enumerate(zip(launches, places, strict=True))
        for times in launch.journal.layers
        if times.configuration == place
    ]
    if not rows:
        return {}
    return {
        "network": launches[0].journal.networks[places[0]],
        "launch": [number for number, _ in rows],
        "round": [times.round for _, times in rows],
        "started_ms": [times.started_ms for _, times in rows],
        "times_ms": [times.times_ms for _, times in rows],
        "whole_ms": [times.whole_ms for _, times in rows],
    }


def _samples(launch: Launch, index: int, phase: Phase) -> list[Sample]:
    return launch.journal.of(launch.order.index(index), phase)


def _columns(launches: Sequence[Launch], index: int, phase: Phase) -> dict[str, list[Any]]:
    """Return a list for each figure of the samples; nothing for a paced phase that there was not."""
    rows = [(number, s) for number, launch in enumerate(launches) for s in _samples(launch, index, phase)]
    if phase == "paced" and not rows:
        return {}
    columns: dict[str, list[Any]] = {
        "launch": [number for number, _ in rows],
        "round": [sample.round for _, sample in rows],
        "started_ms": [sample.started_ms for _, sample in rows],
        "times_ms": [sample.time_ms for _, sample in rows],
        "cpu_ms": [sample.cpu_ms for _, sample in rows],
    }
    if phase == "paced":
        columns["due_ms"] = [sample.due_ms for _, sample in rows]
    return columns
