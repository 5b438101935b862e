"""What is installed, cached and connected, and what to do about what is not."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from android_bench import BASE, ISAS, BuildError, cached_binary, examine_emulator
from mobiledeploy.cache import cache_dir
from mobiledeploy.convert.converters import FOREIGN_CONVERTERS
from mobiledeploy.device.adb_server import configured_server
from mobiledeploy.device.usb import usb_available
from mobiledeploy.errors import MobileDeployError

OK, MISSING, OPTIONAL = "ok", "missing", "not there"

_NEEDED = (
    "ncnn",
    "onnx",
    "onnxruntime",
    "onnxsim",
    "adb-shell",
    "adbutils",
    "ziglang",
    "cmake",
    "ninja",
    "unearth",
    "scipy",
    "matplotlib",
    "av",
)
_FOR_CHECKPOINTS = ("torch", "onnxscript")
_NDK_VARIABLES = ("ANDROID_NDK", "ANDROID_NDK_HOME", "ANDROID_NDK_ROOT")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state (OK, MISSING, or OPTIONAL where nothing depends on it), and what to do."""

    group: str
    what: str
    state: str
    detail: str


def examine() -> list[Finding]:
    """Look at everything; touches no device beyond asking for its name."""
    return [*_installed(), *_cached(), *_connected()]


def _installed() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("installed", "Python", OK if sys.version_info >= (3, 10) else MISSING, python)
    for package in _NEEDED:
        yield _package(package, MISSING, "pip install mobiledeploy -c constraints.txt")
    for package in _FOR_CHECKPOINTS:
        yield _package(
            package, OPTIONAL, "for checkpoints: pip install 'mobiledeploy[torch]' -c constraints.txt"
        )
    yield _usb()
    yield _qemu()
    yield from _converters()
    ndk = next((os.environ[name] for name in _NDK_VARIABLES if os.environ.get(name)), None)
    yield Finding(
        "installed", "Android NDK", OK if ndk else OPTIONAL, ndk or "not needed: zig builds the binary"
    )


def _package(name: str, absent: str, advice: str) -> Finding:
    try:
        return Finding("installed", name, OK, version(name))
    except PackageNotFoundError:
        return Finding("installed", name, absent, advice)


def _qemu() -> Finding:
    program = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if program is None:
        return Finding("installed", "qemu-aarch64", OPTIONAL, "for an arm64 virtual phone: qemu-user")
    try:
        emulator = examine_emulator(program)
    except BuildError as error:
        return Finding("installed", "qemu-aarch64", OPTIONAL, f"{error} {error.hint}")
    counts = (
        "counts instructions" if emulator.plugin_api else "without plugins, so it can't count instructions"
    )
    return Finding("installed", "qemu-aarch64", OK, f"{program}: {emulator.version}, {counts}")


def _converters() -> Iterator[Finding]:
    for converter in FOREIGN_CONVERTERS.values():
        program = converter.find()
        absent = f"for --converter {converter.name}: {converter.install}"
        detail = f"{program.path}: {program.version}" if program else absent
        yield Finding("installed", converter.name, OK if program else OPTIONAL, detail)


def _usb() -> Finding:
    available = usb_available()
    detail = (
        "phones by USB"
        if available
        else "for phones by USB without an ADB server: pip install libusb-package"
    )
    return Finding("installed", "libusb", OK if available else OPTIONAL, detail)


def _cached() -> Iterator[Finding]:
    folder = cache_dir()
    yield Finding("cached", "cache folder", OK, f"{folder} ({_size_of(folder) / 1e6:.0f} M)")
    for abi, isa in ((abi, isa) for abi, isas in ISAS.items() for isa in reversed(isas)):
        binary = cached_binary(abi, cache_dir=folder, isa=isa)
        detail = (
            f"{len(binary.layers)} layers, {binary.toolchain}" if binary else "built when a device needs it"
        )
        what = f"benchmark binary for {abi}" + (f", {isa}" if isa != BASE else "")
        yield Finding("cached", what, OK if binary else OPTIONAL, detail)


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0


def _connected() -> Iterator[Finding]:
    from mobiledeploy.device import list_devices

    server = configured_server()
    listening = server.is_listening()
    yield Finding(
        "connected",
        "ADB server",
        OK if listening else OPTIONAL,
        "its devices are used" if listening else "not needed",
    )
    try:
        devices = list_devices()
    except MobileDeployError as error:
        yield Finding("connected", "devices", OPTIONAL, f"{error.message} {error.hint}".strip())
        return
    for device in devices:
        state = OK if device.state == "device" else MISSING
        yield Finding("connected", device.serial, state, f"{device.state}: {device.description}")
    if not devices:
        yield Finding(
            "connected",
            "phone",
            OPTIONAL,
            "none: a virtual phone takes its place; allow USB debugging on yours",
        )
