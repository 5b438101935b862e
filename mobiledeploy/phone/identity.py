"""What the virtual phone says it is: this computer, or an ARM CPU that QEMU emulates on it.

Nothing in it claims to be a phone that one can buy: the model names the computer, and the
`ro.mobiledeploy.*` properties tell a client what its figures are worth.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.errors import DeviceError

# `platform.machine()` of hosts on which pushed programs run without an emulator.
_NATIVE_ABIS = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64-v8a", "arm64": "arm64-v8a"}
_EMULATORS = {"arm64-v8a": "qemu-aarch64", "armeabi-v7a": "qemu-arm"}
_DEFAULT_CPUS = {"arm64-v8a": "cortex-a76", "armeabi-v7a": "cortex-a15"}

_ARMV8 = "fp asimd aes pmull sha1 sha2 crc32 cpuid"
_ARMV8_2 = f"{_ARMV8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
_MAX = f"{_ARMV8_2} jscvt fcma sha3 sm3 sm4 sha512 sve asimdfhm ilrcpc flagm sb paca pacg sve2 i8mm bf16"


@dataclass(frozen=True)
class EmulatedCpu:
    """A CPU model of QEMU's: its ABI, the part number and the features that /proc/cpuinfo shows."""

    abi: str
    part: str
    features: str


# Features: AT_HWCAP and AT_HWCAP2 as a program sees them under qemu-user 7.2, named as in Linux's
# arch/arm64/kernel/cpuinfo.c (of `max`, which grows with QEMU, those from 7.2 on that kernels use).
# Parts: the MIDR register under the same QEMU; arch/arm64/include/asm/cputype.h names them.
EMULATED_CPUS = {
    "cortex-a53": EmulatedCpu("arm64-v8a", "0xd03", _ARMV8),
    "cortex-a72": EmulatedCpu("arm64-v8a", "0xd08", _ARMV8),
    "cortex-a76": EmulatedCpu("arm64-v8a", "0xd0b", _ARMV8_2),
    "max": EmulatedCpu("arm64-v8a", "0x051", _MAX),
    "cortex-a15": EmulatedCpu(
        "armeabi-v7a", "0xc0f", "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt"
    ),
}


@dataclass(frozen=True)
class Identity:
    """Everything that a phone's folder and greeting are made from.

    `emulator` is the argv that comes before a pushed program, empty where programs run natively;
    `cpufreq` holds each core's files of that name: this computer's own as they read at the start, none where it
    has none or where the CPU is emulated.
    """

    abi: str
    model: str
    emulator: tuple[str, ...]
    cpuinfo: str
    cpufreq: tuple[dict[str, str], ...]
    properties: dict[str, str]


def make_identity(abi: str | None, cpu: str | None) -> Identity:
    """Return the identity of a phone with this ABI and CPU model; None is this computer's own ABI.

    Raises DeviceError where programs of that ABI can't run here, with what would help.
    """
    if sys.platform != "linux":
        raise DeviceError(
            f"the virtual phone runs Linux programs, which {platform.system()} can't",
            hint="Use a phone, or run this on Linux (in a virtual machine or container, for example).",
        )
    native_abi = _NATIVE_ABIS.get(platform.machine())
    if cpu is None and (abi is None or abi == native_abi):
        if native_abi is None:
            raise DeviceError(f"there is no virtual phone for {platform.machine()} computers")
        return _native(native_abi)
    return _emulated(abi, cpu)


def _native(abi: str) -> Identity:
    host = _host_cpu()
    return Identity(
        abi=abi,
        model=f"virtual phone on {host}",
        emulator=(),
        cpuinfo=Path("/proc/cpuinfo").read_text(errors="replace"),
        cpufreq=tuple(_cpufreq(core) for core in range(os.cpu_count() or 1)),
        properties=_properties(abi, model=f"virtual phone on {host}", soc=host, host=host, emulated=False),
    )


def _emulated(abi: str | None, cpu: str | None) -> Identity:
    if abi is not None and abi not in _EMULATORS:
        raise DeviceError(f"a virtual {abi} phone can't be emulated", hint=_choices())
    name = cpu or _DEFAULT_CPUS[abi or "arm64-v8a"]
    model = EMULATED_CPUS.get(name)
    if model is None or abi not in (None, model.abi):
        raise DeviceError(f"no emulated CPU {name!r}" + (f" for {abi}" if abi else ""), hint=_choices())
    command = _EMULATORS[model.abi]
    emulator = shutil.which(command) or shutil.which(f"{command}-static")
    if emulator is None:
        raise DeviceError(
            f"a virtual {model.abi} phone on this computer needs {command}, which is not installed",
            hint="Debian and Ubuntu have it in the package qemu-user.",
        )
    host = _host_cpu()
    title = f"virtual {name} phone emulated on {host}"
    cores = os.cpu_count() or 1
    return Identity(
        abi=model.abi,
        model=title,
        emulator=(emulator, "-cpu", name),
        cpuinfo=_arm_cpuinfo(model, cores),
        cpufreq=({},) * cores,
        properties={
            **_properties(model.abi, model=title, soc=f"{name} (QEMU)", host=host, emulated=True),
            "ro.mobiledeploy.emulator": emulator,
        },
    )


def _choices() -> str:
    return "\n".join(f"{name}: {cpu.abi}" for name, cpu in EMULATED_CPUS.items())


def _properties(abi: str, *, model: str, soc: str, host: str, emulated: bool) -> dict[str, str]:
    return {
        "ro.product.manufacturer": "mobiledeploy",
        "ro.product.name": "mobiledeploy_virtual",
        "ro.product.device": "virtual",
        "ro.product.model": model,
        "ro.soc.model": soc,
        "ro.product.cpu.abi": abi,
        "ro.product.cpu.abilist": abi,
        "ro.mobiledeploy.virtual": "1",
        "ro.mobiledeploy.emulated": "1" if emulated else "0",
        "ro.mobiledeploy.host": f"{host}, {platform.system()} {platform.release()}",
    }


def _host_cpu() -> str:
    """Return this computer's CPU name, without what has a meaning in ADB's greeting."""
    match = re.search(
        r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(errors="replace"), re.MULTILINE
    )
    return re.sub(r"[^\w .@()+-]", " ", match[1]).strip() if match else platform.machine()


def _cpufreq(core: int) -> dict[str, str]:
    """Return what Linux says of a core's clock, by file name (Documentation/admin-guide/pm/cpufreq.rst)."""
    files = {}
    for name in ("cpuinfo_max_freq", "scaling_max_freq", "scaling_cur_freq", "scaling_governor"):
        with contextlib.suppress(OSError):
            files[name] = Path(f"/sys/devices/system/cpu/cpu{core}/cpufreq", name).read_text().strip()
    return files


def _arm_cpuinfo(cpu: EmulatedCpu, cores: int) -> str:
    """Return /proc/cpuinfo as Linux writes it on ARM; implementer 0x41 is ARM, 0x00 QEMU's own `max`."""
    implementer = "0x00" if cpu.part == "0x051" else "0x41"
    return "".join(
        f"processor\t: {core}\n"
        f"Features\t: {cpu.features}\n"
        f"CPU implementer\t: {implementer}\n"
        f"CPU architecture: {8 if cpu.abi == 'arm64-v8a' else 7}\n"
        f"CPU part\t: {cpu.part}\n\n"
        for core in range(cores)
    )
