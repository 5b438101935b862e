"""Push bundles to a device, run them there, and collect what was measured and computed."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import mobiledeploy
from android_bench import Binary, BuildError, BuildStep, best_isa, build_binary, missing_layers
from mobiledeploy.benchmark.accuracy import Judge
from mobiledeploy.benchmark.entries import make_entry
from mobiledeploy.benchmark.gate import wait_until_cool
from mobiledeploy.benchmark.inference import pull_outputs
from mobiledeploy.benchmark.instructions import Counter, prepare_counter
from mobiledeploy.benchmark.journal import Journal
from mobiledeploy.benchmark.launch import run_launch
from mobiledeploy.benchmark.partial import Launch, PartialRun
from mobiledeploy.benchmark.plan import Configuration, Plan, RemoteFiles, command_line, loading_order
from mobiledeploy.benchmark.record import SCHEMA, Run
from mobiledeploy.benchmark.roofline import measure_rooflines
from mobiledeploy.benchmark.watches import watched_files
from mobiledeploy.bundle import MANIFEST, Bundle, file_hash
from mobiledeploy.cache import cache_dir
from mobiledeploy.device import ConnectionLostError, Device
from mobiledeploy.device.stabilization import Stabilization
from mobiledeploy.device.stabilize import stabilized
from mobiledeploy.device.state import read_state
from mobiledeploy.errors import DeviceRunError
from mobiledeploy.progress import Progress

_JOURNAL = "journal.jsonl"


def benchmark(
    bundles: Sequence[Bundle],
    device: Device,
    plan: Plan,
    progress: Progress | None = None,
    *,
    partial_folder: Path | None = None,
) -> Run:
    """Run every configuration of every bundle on a device, interleaved; returns the record, not yet written.

    What the device says goes at once into a file in `partial_folder` (None: the cache), which stays there
    where the run fails; the same call goes on from it within the hour. Raises UsageError, DeviceError (also
    where the device is busy), DeviceRunError or TimedOutError.
    """
    tell = progress or (lambda *_: None)
    configurations = plan.configurations(bundles)
    with device.exclusive():
        counter = prepare_counter(device) if plan.count_instructions else None
        layers = [layer for bundle in bundles for v in bundle.variants.values() for layer in v.layers]
        binary = prepare_binary(device, layers, tell)
        run = _Execution(configurations, device, binary, plan, counter, tell)
        path = (partial_folder or cache_dir() / "partial") / f"{_hash(run.key)[:16]}.jsonl"
        with PartialRun(path, run.key) as partial:
            with stabilized(device) if plan.stabilize else nullcontext() as stabilization:
                launches = run.execute(partial)
            record = run.record(launches, stabilization)
            partial.finish()
    return record


def prepare_binary(device: Device, layer_types: Sequence[str], progress: Progress) -> Binary:
    """Return a benchmark binary for the device that has every layer needed, building it where it is not cached."""

    def tell(step: BuildStep) -> None:
        progress(f"building the benchmark binary: {step.stage}", step.done, step.total)

    abi = device.facts.primary_abi
    isa = best_isa(abi, device.facts.cpu_features)
    try:
        binary = build_binary(abi, cache_dir=cache_dir(), isa=isa, layers="lean", progress=tell)
        if missing_layers(binary, layer_types):
            binary = build_binary(abi, cache_dir=cache_dir(), isa=isa, layers="full", progress=tell)
    except BuildError as error:
        raise DeviceRunError(f"the benchmark binary can't be built: {error}", hint=error.hint) from error
    if missing := missing_layers(binary, layer_types):
        raise DeviceRunError(f"the benchmark binary has no {', '.join(sorted(missing))}")
    return binary


class _Execution:
    """One run on one device."""

    def __init__(
        self,
        configurations: Sequence[Configuration],
        device: Device,
        binary: Binary,
        plan: Plan,
        counter: Counter | None,
        progress: Progress,
    ) -> None:
        self.configurations = configurations
        self.device = device
        self.binary = binary
        self.plan = plan
        self.counter = counter
        self.progress = progress
        self.method = plan.method if device.facts.timings_are_latency else None
        paths = {configuration.bundle.path for configuration in configurations}
        self.manifests = {path: file_hash(path / MANIFEST) for path in paths}

    @property
    def key(self) -> dict[str, Any]:
        """What decides the run's figures: a partial run of the same key may go on."""
        return {
            "mobiledeploy": mobiledeploy.__version__,
            "device": self.device.facts.identity(),
            "binary": self.binary.sha256,
            "counter": self.counter and dataclasses.asdict(self.counter),
            "parameters": self.plan.to_json(),
            "configurations": [[self.manifests[c.bundle.path], c.name] for c in self.configurations],
        }

    def execute(self, partial: PartialRun) -> list[Launch]:
        """Do the launches that `partial` lacks; returns all."""
        files = self._push()
        launches = self.method.launches if self.method else 1
        for number in range(launches):
            if number not in partial.launches:
                self._launch(number, launches, files, partial)
        return [partial.launches[number] for number in range(launches)]

    def _push(self) -> RemoteFiles:
        """Bring all files to the device; once more where the connection was lost: what is there is not sent again."""
        try:
            return self._push_once()
        except ConnectionLostError:
            return self._push_once()

    def _push_once(self) -> RemoteFiles:
        def store(file: Path, *, executable: bool = False) -> str:
            return self.device.store(
                file,
                executable=executable,
                progress=lambda done, total: self.progress(f"pushing {file.name}", done, total),
            )

        bundles = {configuration.bundle.path: configuration.bundle for configuration in self.configurations}
        variants = {
            (configuration.bundle.path, configuration.precision): configuration.bundle.variant(
                configuration.precision
            )
            for configuration in self.configurations
        }
        return RemoteFiles(
            binary=store(self.binary.path, executable=True),
            inputs={
                path: {tensor.blob: store(bundle.samples()[tensor.name]) for tensor in bundle.inputs}
                for path, bundle in bundles.items()
            },
            variants={key: (store(variant.param), store(variant.bin)) for key, variant in variants.items()},
        )

    def _launch(self, number: int, launches: int, files: RemoteFiles, partial: PartialRun) -> None:
        """Run the binary once; the first launch also brings the outputs."""
        method = self.method and dataclasses.replace(
            self.method.in_one_launch(), seed=self.method.seed + number
        )
        order = loading_order(len(self.configurations), number, self.plan.method.seed)
        gate = wait_until_cool(
            lambda: read_state(self.device),
            self.plan.max_temp_c,
            self.plan.cooldown_s,
            progress=self.progress,
        )
        launch = partial.begin(number, order)
        step = f"launch {number + 1} of {launches}"
        expected = method.min_runs * len(order) if method else 0
        with self.device.scratch() as folder:
            argv = command_line(
                files,
                [self.configurations[i] for i in order],
                method,
                journal=f"{folder}/{_JOURNAL}",
                dump=folder if number == 0 else None,
                watches=watched_files(gate.state),
                profile=self.plan.profile,
                mark=self.counter is not None,
            )
            self.progress(step, 0, expected)
            journal = run_launch(
                self.device,
                argv,
                f"{folder}/{_JOURNAL}",
                partial,
                number,
                timeout_s=self.plan.timeout_s,
                silence_s=self.plan.silence_s,
                on_sample=lambda: self.progress(step, min(launch.journal.measured, expected), expected),
                environment=self.counter.environment(folder) if self.counter else None,
            )
            accuracy = self._judge(order, journal, folder) if number == 0 else None
            counts = self.counter.read(self.device, folder) if self.counter else None
        done: dict[str, Any] = {"accuracy": accuracy, "instructions": counts, "gate": gate.to_json()}
        if self.plan.profile and self.plan.rooflines:
            done["rooflines"] = measure_rooflines(self.device, files.binary, self.configurations)
        done["state"] = {"before": gate.state.to_json(), "after": read_state(self.device).to_json()}
        partial.end(number, done)

    def _judge(self, order: Sequence[int], journal: Journal, folder: str) -> dict[str, Any]:
        """Compare the outputs that a launch left; returns the accuracy of each configuration by its number."""
        judges: dict[Path, Judge] = {}  # one for each bundle, made where it is needed
        found = {}
        for place, index in enumerate(order):
            configuration = self.configurations[index]
            bundle = configuration.bundle
            self.progress(f"comparing the outputs of {bundle.name}", place, len(order))
            if bundle.path not in judges:
                judges[bundle.path] = Judge(bundle)
            outputs = pull_outputs(bundle.outputs, self.device, folder, journal.loaded[place])
            found[str(index)] = judges[bundle.path].figures(configuration.precision, outputs)
        return found

    def record(self, launches: Sequence[Launch], stabilization: Stabilization | None) -> Run:
        """Put the record together."""
        begin = launches[0].journal.begin or {}
        done = [launch.done or {} for launch in launches]
        accuracy = done[0]["accuracy"]
        before = done[0]["state"]["before"]
        entries = [
            {**make_entry(configuration, index, launches, self.manifests), "accuracy": accuracy[str(index)]}
            for index, configuration in enumerate(self.configurations)
        ]
        if self.counter:
            for index, entry in enumerate(entries):
                place = launches[0].order.index(index)
                network = launches[0].journal.networks[place]
                entry["instructions"] = self.counter.to_entry(done[0]["instructions"][str(place)], network)
        return Run(
            {
                "schema": SCHEMA,
                "kind": "run",
                "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "mobiledeploy": mobiledeploy.__version__,
                "outcome": "complete",
                "context": {
                    "device": self.device.facts.to_json(),
                    "binary": {
                        **begin["binary"],
                        "isa": self.binary.isa,
                        "toolchain": self.binary.toolchain,
                        "sha256": self.binary.sha256,
                    },
                    "cpu": begin["cpu"],
                    "power": {
                        "plugged": before["battery"]["plugged"],
                        "battery_saver": before["battery_saver"],
                    },
                    "stabilization": stabilization and stabilization.to_json(),
                },
                "parameters": {**self.plan.to_json(), "timed": self.method is not None},
                "launches": [
                    {
                        **{key: entry[key] for key in ("gate", "state", "rooflines") if key in entry},
                        "readings": launch.journal.readings,
                    }
                    for launch, entry in zip(launches, done, strict=True)
                ],
                "benchmarks": entries,
            }
        )


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
