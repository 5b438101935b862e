"""`mobiledeploy devices`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from mobiledeploy.cli.options import format_option, serial_option
from mobiledeploy.cli.output import tell_restored
from mobiledeploy.errors import MobileDeployError

if TYPE_CHECKING:
    from mobiledeploy.device import DeviceFacts, DeviceState, DeviceSummary

_COLUMNS = ("serial", "state", "model", "soc", "abi", "cores", "CPU features", "memory (GB)", "android")
_STATE_COLUMNS = ("temperature (°C)", "thermal status", "battery", "governor")

# What decides which kernels ncnn can use; the others would only widen the table. JSON has them all.
_KERNEL_FEATURES = (
    "asimdhp",
    "asimddp",
    "asimdfhm",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
    "neon",
    "vfpv4",
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
)


@click.command(short_help="List devices and their facts, or clean what was pushed to them.")
@serial_option
@click.option("--clean", is_flag=True, help="Remove everything that was ever pushed to the device.")
@format_option
def command(serial: str | None, clean: bool, form: str) -> None:
    """List devices and their facts, or clean what was pushed to them.

    With --serial only that device is shown, and how it is right now: temperature, thermal status, battery,
    governor; with JSON also clocks, load, memory and screen. Devices come from a running ADB server, from USB, and
    from virtual phones started by `mobiledeploy phone`. --clean takes the only device there is, or the one that
    --serial or $ANDROID_SERIAL names.
    """
    if clean:
        _clean(serial, form)
    else:
        _list(serial, form)


def _clean(serial: str | None, form: str) -> None:
    from mobiledeploy.device import open_device
    from mobiledeploy.report.formats import render

    with open_device(serial) as device:
        tell_restored(device)
        with device.exclusive():
            freed = device.clean()
        row = {"serial": device.facts.serial, "freed_bytes": freed}
    click.echo(render(list(row), [row], form))


def _list(serial: str | None, form: str) -> None:
    from mobiledeploy.device import list_devices
    from mobiledeploy.report.formats import render

    if serial is not None:
        facts, state = _examine(serial)
        row = {**_row(facts), **_state_row(state)}
        document = {**facts.to_json(), "device_state": state.to_json()}
        click.echo(render(_COLUMNS + _STATE_COLUMNS, [row], form, document=[document]))
        return
    rows: list[dict[str, object]] = []
    documents: list[dict[str, object]] = []
    for summary in list_devices():
        row, document = _describe(summary)
        rows.append(row)
        documents.append(document)
    click.echo(render(_COLUMNS, rows, form, document=documents))
    if not rows:
        click.echo("no device found; `mobiledeploy phone` starts a virtual one", err=True)


def _facts(serial: str) -> DeviceFacts:
    from mobiledeploy.device import open_device

    with open_device(serial) as device:
        tell_restored(device)
        return device.facts


def _examine(serial: str) -> tuple[DeviceFacts, DeviceState]:
    from mobiledeploy.device import open_device, read_state

    with open_device(serial) as device:
        tell_restored(device)
        return device.facts, read_state(device)


def _describe(summary: DeviceSummary) -> tuple[dict[str, object], dict[str, object]]:
    """Return a device's row and its JSON; for one that can't be used, the reason goes to stderr too."""
    document = dataclasses.asdict(summary)
    row: dict[str, object] = {"serial": summary.serial, "state": summary.state, "model": summary.description}
    if summary.state != "device":
        return row, document
    try:
        facts = _facts(summary.serial)
    except MobileDeployError as error:
        click.echo(f"{summary.serial}: {error.message}", err=True)
        return {**row, "state": "unusable"}, {**document, "state": "unusable", "error": error.message}
    return _row(facts), {**document, **facts.to_json()}


def _row(facts: DeviceFacts) -> dict[str, object]:
    return {
        "serial": facts.serial,
        "state": "device",
        "model": facts.model,
        "soc": facts.soc,
        "abi": ", ".join(facts.abis),
        "cores": _cores(facts),
        "CPU features": " ".join(name for name in _KERNEL_FEATURES if name in facts.cpu_features),
        "memory (GB)": f"{facts.memory_bytes / 1e9:.1f}" if facts.memory_bytes else None,
        "android": facts.android_version,
    }


def _state_row(state: DeviceState) -> dict[str, object]:
    note = " (made up)" if state.simulated else ""
    battery, cpu = state.battery, state.hottest("cpu")
    temperatures = [
        f"{name} {celsius:.1f}"
        for name, celsius in (("battery", battery.temperature_c), ("CPU", cpu.celsius if cpu else None))
        if celsius is not None
    ]
    charge = f"{battery.level_percent} % {battery.status or ''}".strip()
    return {
        "temperature (°C)": ", ".join(temperatures) + note if temperatures else None,
        "thermal status": state.thermal_status_name,
        "battery": charge + note if battery.level_percent is not None else None,
        "governor": " ".join(state.governors),
    }


def _cores(facts: DeviceFacts) -> str:
    """Write the cores by their clocks, fastest first: `2x2.85 4x1.80 GHz`."""
    clocks = [core.max_khz for core in facts.cores]
    known = sorted({clock for clock in clocks if clock}, reverse=True)
    if not known:
        return str(len(clocks))
    return " ".join(f"{clocks.count(clock)}x{clock / 1e6:.2f}" for clock in known) + " GHz"
