"""Push a bundle to a device, run it there, and collect what it measured and computed."""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

import mobiledeploy
from android_bench import Binary, BuildError, BuildStep, build_binary, missing_layers
from mobiledeploy.benchmark.accuracy import Judge
from mobiledeploy.benchmark.plan import Configuration, Plan, RemoteFiles, command_line
from mobiledeploy.benchmark.record import SCHEMA, Run
from mobiledeploy.bundle import MANIFEST, Bundle, file_hash
from mobiledeploy.cache import cache_dir
from mobiledeploy.device import Completed, Device
from mobiledeploy.errors import DeviceRunError
from mobiledeploy.preprocessing import FloatArray

Progress = Callable[[str, int, int], None]


def benchmark(bundles: Sequence[Bundle], device: Device, plan: Plan, progress: Progress | None = None) -> Run:
    """Run every configuration of every bundle on a device; returns the record, not yet written.

    All configurations of a bundle run in one process, interleaved. Raises UsageError, DeviceError,
    DeviceRunError or TimedOutError.
    """
    tell = progress or (lambda *_: None)
    planned = [(bundle, plan.configurations(bundle)) for bundle in bundles]
    entries: list[dict[str, Any]] = []
    context: dict[str, Any] = {"device": device.facts.to_json()}
    for bundle, configurations in planned:
        binary = prepare_binary(device, [layer for v in bundle.variants.values() for layer in v.layers], tell)
        report, found = _run_bundle(bundle, configurations, device, binary, plan, tell)
        context["binary"] = {**report["binary"], "toolchain": binary.toolchain, "sha256": binary.sha256}
        context["cpu"] = report["cpu"]
        entries += found
    return Run(
        {
            "schema": SCHEMA,
            "kind": "run",
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "mobiledeploy": mobiledeploy.__version__,
            "context": context,
            "parameters": {**plan.method.to_json(), "timed": device.facts.timings_are_latency},
            "benchmarks": entries,
        }
    )


def prepare_binary(device: Device, layer_types: Sequence[str], progress: Progress) -> Binary:
    """Return a benchmark binary for the device that has every layer needed, building it where it is not cached."""

    def tell(step: BuildStep) -> None:
        progress(f"building the benchmark binary: {step.stage}", step.done, step.total)

    abi = device.facts.primary_abi
    try:
        binary = build_binary(abi, cache_dir=cache_dir(), layers="lean", progress=tell)
        if missing_layers(binary, layer_types):
            binary = build_binary(abi, cache_dir=cache_dir(), layers="full", progress=tell)
    except BuildError as error:
        raise DeviceRunError(f"the benchmark binary can't be built: {error}", hint=error.hint) from error
    if missing := missing_layers(binary, layer_types):
        raise DeviceRunError(f"the benchmark binary has no {', '.join(sorted(missing))}")
    return binary


def _run_bundle(
    bundle: Bundle,
    configurations: Sequence[Configuration],
    device: Device,
    binary: Binary,
    plan: Plan,
    progress: Progress,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run one bundle; returns the binary's own report and one entry a configuration."""
    judge = Judge(bundle)
    files = _push(bundle, configurations, device, binary, progress)
    method = plan.method if device.facts.timings_are_latency else None
    outputs = [tensor.blob for tensor in bundle.outputs]
    with device.scratch() as folder:
        argv = command_line(files, configurations, outputs, method, folder)
        progress(f"running {bundle.name}", 0, 0)
        report = _report(device.run(argv, timeout_s=plan.timeout_s))
        progress(f"comparing the outputs of {bundle.name}", 0, 0)
        entries = [
            {
                **_entry(bundle, configuration, measured),
                "accuracy": judge.figures(configuration.precision, _pull(bundle, device, folder, measured)),
            }
            for configuration, measured in zip(configurations, report["configurations"], strict=True)
        ]
    return report, entries


def _push(
    bundle: Bundle,
    configurations: Sequence[Configuration],
    device: Device,
    binary: Binary,
    progress: Progress,
) -> RemoteFiles:
    def store(file: Path, *, executable: bool = False) -> str:
        return device.store(
            file,
            executable=executable,
            progress=lambda done, total: progress(f"pushing {file.name}", done, total),
        )

    variants = {precision: bundle.variant(precision) for precision in {c.precision for c in configurations}}
    samples = bundle.samples()
    return RemoteFiles(
        binary=store(binary.path, executable=True),
        inputs={tensor.blob: store(samples[tensor.name]) for tensor in bundle.inputs},
        variants={
            precision: (store(variant.param), store(variant.bin)) for precision, variant in variants.items()
        },
    )


def _report(completed: Completed) -> dict[str, Any]:
    """Read the binary's JSON; DeviceRunError where it failed or wrote something else."""
    tail = completed.stderr.decode("utf-8", "replace").strip()[-2000:]
    if completed.exit_code != 0:
        why = (
            f"signal {completed.exit_code - 128}"
            if completed.exit_code > 128
            else f"exit code {completed.exit_code}"
        )
        raise DeviceRunError(
            f"the benchmark binary failed on the device ({why})", hint=tail or "It said nothing."
        )
    try:
        report: dict[str, Any] = json.loads(completed.stdout)
    except ValueError as error:
        start = completed.stdout[:200].decode("utf-8", "replace")
        raise DeviceRunError(f"the benchmark binary's output is not JSON: {start!r}", hint=tail) from error
    return report


def _pull(bundle: Bundle, device: Device, folder: str, measured: Mapping[str, Any]) -> dict[str, FloatArray]:
    """Fetch the dumped outputs of a configuration: (N, ...) in the ONNX shape, by output name."""
    names = {entry["name"]: PurePosixPath(entry["file"]).name for entry in measured["outputs"]}
    outputs = {}
    with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as temporary:
        for tensor in bundle.outputs:
            local = Path(temporary, "output.npy")
            device.pull(f"{folder}/{names[tensor.blob]}", local)
            array = np.load(local, allow_pickle=False)
            outputs[tensor.name] = array.reshape(len(array), *tensor.shape[1:])
    return outputs


def _entry(bundle: Bundle, configuration: Configuration, measured: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("load_ms", "first_ms", "peak_memory_bytes", "affinity", "options", "times_ms", "started_ms")
    return {
        "model": bundle.name,
        "bundle": {"path": str(bundle.path), "manifest_sha256": file_hash(bundle.path / MANIFEST)},
        "untrained": bundle.untrained,
        "precision": configuration.precision,
        "threads": configuration.threads,
        "size_bytes": bundle.variant(configuration.precision).size_bytes,
        **{key: measured[key] for key in kept},
    }
