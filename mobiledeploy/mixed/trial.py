"""Trials: graphs of one network run beside each other on the device, as the variants of a bundle for a moment."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mobiledeploy.benchmark import Method, Plan, Run, benchmark
from mobiledeploy.bundle import MANIFEST, ONNX_FILE, SAMPLES, describe_files, open_bundle
from mobiledeploy.convert.variants import write_variant
from mobiledeploy.device import Device
from mobiledeploy.progress import Progress
from ncnn_tools.graph import Graph, graph_digest

# The one variant that runs without fp16 arithmetic (see `benchmark.plan.command_line`).
EXACT = "fp32"

# Layers are priced by their medians; what is loaded last runs faster, so several launches count for more than
# many inferences in one.
PRICING = Method(launches=6, warmup_runs=2, max_warmup_ms=500, min_runs=60, min_time_ms=0, max_time_ms=60_000)
# For what has to be much better to be taken at all.
COARSE = replace(PRICING, launches=3, min_runs=15)


@dataclass(frozen=True)
class Prices:
    """What each layer of a trial cost, by name, and the whole: in ms, or in millions of instructions."""

    layers: Mapping[str, float]
    whole: float

    def scaled(self, factor: float) -> Prices:
        """Return all of them times a factor."""
        return Prices({name: price * factor for name, price in self.layers.items()}, self.whole * factor)


@dataclass(frozen=True)
class TrialBench:
    """A device and what all trials on it share.

    `template` is a bundle's folder, with its ONNX reference and samples, and `manifest` what is true of it.
    """

    device: Device
    template: Path
    manifest: Mapping[str, Any]
    workspace: Path
    threads: int
    progress: Progress
    _counted: dict[str, Prices] = field(default_factory=dict)

    @property
    def timed(self) -> bool:
        """Whether prices are times; where the CPU is emulated, instructions are counted instead."""
        return self.device.facts.timings_are_latency

    @property
    def unit(self) -> str:
        """What prices are in."""
        return "ms" if self.timed else "million instructions"

    def prices(self, graphs: Mapping[str, Graph], method: Method | None = None) -> dict[str, Prices]:
        """Run every graph layer by layer, interleaved; instructions of one that was counted before stay the same.

        `graphs` maps names to graphs; the one called fp32 runs without fp16 arithmetic.
        """
        if self.timed:
            return self._measured(graphs, Plan(method=method or PRICING, profile=True, rooflines=False))
        keys = {name: f"{name == EXACT} {graph_digest(graph)}" for name, graph in graphs.items()}
        new = {name: graph for name, graph in graphs.items() if keys[name] not in self._counted}
        if new:
            counted = self._measured(new, Plan(count_instructions=True))
            self._counted.update({keys[name]: prices for name, prices in counted.items()})
        return {name: self._counted[key] for name, key in keys.items()}

    def _measured(self, graphs: Mapping[str, Graph], plan: Plan) -> dict[str, Prices]:
        entries = self.run(graphs, plan).benchmarks
        return {entry["precision"]: Prices(_layer_prices(entry), whole_price(entry)) for entry in entries}

    def run(self, graphs: Mapping[str, Graph], plan: Plan) -> Run:
        """Benchmark graphs by name; errors as `benchmark` raises them."""
        folder = self.workspace / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        # Counts are the same for every input, and an emulated inference takes seconds.
        _write(folder, self.template, self.manifest, graphs, samples=None if self.timed else 1)
        try:
            bundle = open_bundle(folder)
            plan = replace(plan, precisions=tuple(graphs), threads=(self.threads,))
            return benchmark([bundle], self.device, plan, self.progress, partial_folder=self.workspace)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _write(
    folder: Path,
    template: Path,
    manifest: Mapping[str, Any],
    graphs: Mapping[str, Graph],
    *,
    samples: int | None,
) -> None:
    """Write a bundle of these graphs with so many samples (None: all); nothing has compared them with ONNX yet."""
    (folder / SAMPLES).mkdir(parents=True)
    shutil.copyfile(template / ONNX_FILE, folder / ONNX_FILE)
    for file in (template / SAMPLES).iterdir():
        np.save(folder / SAMPLES / file.name, np.load(file)[:samples])
    variants = {name: {**write_variant(graph, folder, name), "parity": {}} for name, graph in graphs.items()}
    document = {**manifest, "variants": variants, "files": describe_files(folder)}
    (folder / MANIFEST).write_text(json.dumps(document), "utf-8")


def whole_price(entry: Mapping[str, Any]) -> float:
    """Return the median of whole inferences of a run's entry: ms, or millions of instructions where it has them."""
    if "instructions" in entry:
        return float(entry["instructions"]["median"]) / 1e6
    return float(statistics.median(entry["times_ms"]))


def _layer_prices(entry: Mapping[str, Any]) -> dict[str, float]:
    if "instructions" in entry:
        return {layer["name"]: layer["count"] / 1e6 for layer in entry["instructions"]["layers"]}
    names = [layer["name"] for layer in entry["layers"]["network"]]
    times = np.asarray(entry["layers"]["times_ms"], np.float64)  # (inferences, layers)
    return dict(zip(names, map(float, np.median(times, axis=0)), strict=True))
