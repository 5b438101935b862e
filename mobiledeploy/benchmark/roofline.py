"""What a device could do at most, measured there by the binary's own small kernels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mobiledeploy.benchmark.launch import named_failure
from mobiledeploy.benchmark.plan import Configuration
from mobiledeploy.device import Device
from mobiledeploy.errors import DeviceRunError

_TIMEOUT_S = 120.0  # it takes seconds


def measure_rooflines(
    device: Device, binary: str, configurations: Sequence[Configuration]
) -> list[dict[str, Any]]:
    """Measure peaks and bandwidths, once for each number of threads and set of cores that configurations have.

    Each has `threads`, `cores`, `peaks` (GMAC/s of an arithmetic) and `bandwidths` (GB/s for a working set).
    Raises DeviceRunError, DeviceError or TimedOutError.
    """
    kinds = dict.fromkeys((configuration.threads, configuration.cores) for configuration in configurations)
    return [_measure(device, binary, threads, cores) for threads, cores in kinds]


def _measure(device: Device, binary: str, threads: int, cores: str | None) -> dict[str, Any]:
    argv = [binary, "--roofline", str(threads), *(["--cpus", cores] if cores is not None else [])]
    completed = device.run(argv, timeout_s=_TIMEOUT_S)
    if failure := named_failure(completed):
        raise failure
    try:
        found = json.loads(completed.stdout)
        return {
            "threads": threads,
            "cores": cores,
            "peaks": [peak for peak in found["peaks"] if peak["threads"] == threads],
            "bandwidths": [entry for entry in found["bandwidths"] if entry["threads"] == threads],
        }
    except (ValueError, KeyError, TypeError) as error:
        raise DeviceRunError(f"the binary's roofline can't be used: {error!r}") from error
