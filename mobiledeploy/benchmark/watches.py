"""Clocks and temperatures on the way: which files the binary reads between inferences, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mobiledeploy.device.state import DeviceState, Kind

# What heats up and what throttles by it; a phone has up to a hundred zones, and each file read takes time.
_KINDS: tuple[Kind, ...] = ("cpu", "skin", "battery")
_MOST_ZONES = 6


def watched_files(state: DeviceState) -> dict[str, str]:
    """Return name → file on the device: `cpuN_khz` for each core with a clock, `zoneN_TYPE` for the warmest zones.

    A zone's number is what the kernel shows, millidegrees as a rule (Documentation/ABI/testing/sysfs-class-thermal).
    """
    files = {
        f"cpu{core.index}_khz": f"/sys/devices/system/cpu/cpu{core.index}/cpufreq/scaling_cur_freq"
        for core in state.cores
        if core.current_khz is not None
    }
    zones = [t for t in state.temperatures if t.zone is not None and t.kind in _KINDS]
    for zone in sorted(zones, key=lambda temperature: -temperature.celsius)[:_MOST_ZONES]:
        files[f"zone{zone.zone}_{zone.name}"] = f"/sys/class/thermal/thermal_zone{zone.zone}/temp"
    return files


def clocks_of(readings: Iterable[Mapping[str, Any]], affinity: str) -> list[list[float]]:
    """Return (ms on the device's clock, kHz) rows: the highest clock of the cores of a hexadecimal mask.

    On which of its cores a thread ran is not known; the scheduler gives work to the fast ones.
    """
    mask = int(affinity, 16)
    rows = []
    for reading in readings:
        clocks = [
            value
            for name, value in reading["values"].items()
            if value is not None and name.endswith("_khz") and mask >> int(name[3:-4]) & 1
        ]
        if clocks:
            rows.append([reading["at_ms"], max(clocks)])
    return rows
