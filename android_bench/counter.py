"""The plugin that makes QEMU count instructions: whether an emulator takes it, and its build for this computer."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from android_bench.build import zig_environment
from android_bench.errors import BuildError

_SOURCE = Path(__file__).parent / "plugin" / "count_instructions.c"
_ASK_S = 10
_COMPILE_S = 300


@dataclass(frozen=True)
class Emulator:
    """A user-mode QEMU: how it calls itself, and the plugin API that it takes, None where it takes no plugins."""

    version: str
    plugin_api: int | None


def examine_emulator(program: str) -> Emulator:
    """Ask an emulator what it is.

    Its help lists -plugin where it was built with plugins. From QEMU 9 on it refuses an API older than 2, which
    those before don't know (QEMU_PLUGIN_MIN_VERSION and QEMU_PLUGIN_VERSION of its plugin headers).

    Raises:
        BuildError: it can't be run, or is no QEMU.
    """
    said = _run([program, "--version"])
    match = re.match(r"(\S+ version (\d+)\.[\d.]*)", said)
    if match is None:
        raise BuildError(f"{program} is no QEMU: it says {said[:80]!r}", hint="Install qemu-user.")
    takes_plugins = re.search(r"^-plugin\s", _run([program, "-help"]), re.MULTILINE) is not None
    return Emulator(match[1], (2 if int(match[2]) >= 9 else 1) if takes_plugins else None)


def _run(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} can't be run: {error}", hint="Install qemu-user.") from error


def build_counter(plugin_api: int, *, cache_dir: Path) -> Path:
    """Return the plugin for this computer and an API, built now if the cache does not have it.

    Raises:
        BuildError: there is no compiler, it failed, or the cache can't be written.
    """
    try:
        compiler = metadata.version("ziglang")
    except metadata.PackageNotFoundError:
        raise BuildError(
            "no compiler: the package ziglang is not installed", hint="pip install ziglang"
        ) from None
    text = f"{compiler} {platform.machine()} {plugin_api}\n".encode() + _SOURCE.read_bytes()
    root = cache_dir.absolute() / "android_bench"
    plugin = root / "plugins" / f"count_instructions-{hashlib.sha256(text).hexdigest()[:16]}.so"
    if plugin.is_file():
        return plugin
    try:
        plugin.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=plugin.parent, prefix=".new-") as folder:
            built = Path(folder, plugin.name)
            _compile(plugin_api, built, root / "zig")
            built.replace(plugin)
    except OSError as error:
        raise BuildError(
            f"the cache {root} cannot be written: {error}", hint="Set MOBILEDEPLOY_CACHE."
        ) from error
    return plugin


def _compile(plugin_api: int, target: Path, zig_cache: Path) -> None:
    """Compile for this computer and its C library; what calls QEMU is resolved when QEMU loads it."""
    command = [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline", "-std=c11", "-O2"]
    command += ["-shared", "-fPIC", "-fvisibility=hidden", f"-DPLUGIN_API={plugin_api}"]
    command += [str(_SOURCE), "-o", str(target)]
    try:
        done = subprocess.run(
            command,
            env=zig_environment(zig_cache),
            capture_output=True,
            text=True,
            timeout=_COMPILE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"the compiler did not end within {_COMPILE_S} s") from error
    if done.returncode != 0:
        raise BuildError("the instruction counter can't be compiled", log_tail=done.stderr[-2000:])
