"""Measure a configuration's layers on a device."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mobiledeploy.benchmark import Method, Plan, benchmark
from mobiledeploy.bundle import Bundle
from mobiledeploy.device import Device
from mobiledeploy.errors import DeviceError, UsageError
from mobiledeploy.profile.record import Profile, make_profile
from mobiledeploy.progress import Progress
from ncnn_tools.files import load

# Inferences are counted, not timed: each leaves the times of all layers, and a small network would fill the disk.
METHOD = Method(launches=4, min_runs=120, min_time_ms=0, max_time_ms=120_000)
QUICK_METHOD = dataclasses.replace(METHOD, launches=3, min_runs=30)


def profile(
    bundle: Bundle,
    device: Device,
    plan: Plan,
    progress: Progress | None = None,
    *,
    partial_folder: Path | None = None,
) -> Profile:
    """Measure each layer of one configuration, the whole beside it, and the device's roofline.

    It is a benchmark in all else: plain inferences alternate with those whose layers are timed, in several
    launches, and one that was cut off goes on. Raises UsageError where the plan has not one configuration,
    DeviceError where the device's CPU is emulated, and what `benchmark` raises.
    """
    if (count := len(plan.configurations([bundle]))) != 1:
        raise UsageError(f"a profile is of one configuration, and these are {count}")
    if not device.facts.timings_are_latency:
        raise DeviceError(
            f"{device.facts.serial}: its CPU is emulated, so that no time of a layer measured there means anything",
            hint="Profile on a phone, or on a virtual phone of this computer's own kind.",
        )
    plan = dataclasses.replace(plan, profile=True)
    run = benchmark([bundle], device, plan, progress, partial_folder=partial_folder)
    variant = bundle.variant(run.benchmarks[0]["precision"])
    return make_profile(run, load(variant.param, variant.bin))
