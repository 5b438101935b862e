"""What a device is: read once by one command, and written into every run."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Literal

from mobiledeploy.errors import DeviceError

# What android_bench is built for; of those a device's own order decides.
BUILDABLE_ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")

# Constant text: no name from outside is in it. The marks split its output.
FACTS_SCRIPT = """\
getprop
echo =cpuinfo=; cat /proc/cpuinfo
echo =meminfo=; grep MemTotal /proc/meminfo
echo =clocks=; for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
    echo "${cpu##*/cpu} $(cat "$cpu/cpufreq/cpuinfo_max_freq" 2>/dev/null)"
done
"""


@dataclass(frozen=True)
class Core:
    """A CPU core: its number, its highest clock in kHz, and who designed it, each None where unknown.

    `implementer` and `part` are the numbers of ARM's MIDR register as /proc/cpuinfo shows them.
    """

    index: int
    max_khz: int | None
    implementer: str | None
    part: str | None


@dataclass(frozen=True)
class DeviceFacts:
    """What a device says of itself; texts are empty, and `android_version` None, where it says nothing.

    `emulated`: its CPU is emulated, so that no time measured on it is a latency. `host`: the computer
    that a virtual phone runs on, `emulator` the program there that emulates its CPU. `memory_bytes` is 0 where
    unknown.
    """

    serial: str
    kind: Literal["usb", "tcp", "virtual"]
    model: str
    soc: str
    android_version: str | None
    fingerprint: str
    abis: tuple[str, ...]
    cpu_features: tuple[str, ...]
    cores: tuple[Core, ...]
    memory_bytes: int
    emulated: bool
    host: str | None
    emulator: str | None = None

    @property
    def primary_abi(self) -> str:
        """The ABI to build for: the first of the device's own list that can be built.

        Raises DeviceError where there is none.
        """
        for abi in self.abis:
            if abi in BUILDABLE_ABIS:
                return abi
        raise DeviceError(
            f"{self.serial} runs {', '.join(self.abis) or 'no known ABI'}; "
            f"the benchmark is built for {', '.join(BUILDABLE_ABIS)}"
        )

    @property
    def timings_are_latency(self) -> bool:
        """Whether a time measured on the device may be called a latency."""
        return not self.emulated

    @property
    def label(self) -> str:
        """The device in a few words, for tables."""
        if self.kind == "virtual":
            return self.model
        details = [self.soc] if self.soc else []
        if self.android_version:
            details.append(f"Android {self.android_version}")
        if self.emulated:
            details.append("emulator")
        return f"{self.model} ({', '.join(details)})" if details else self.model

    def to_json(self) -> dict[str, object]:
        """Return the facts as they read back from a JSON document."""
        facts = {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }
        return {**facts, "label": self.label, "timings_are_latency": self.timings_are_latency}

    def identity(self) -> dict[str, object]:
        """Return the facts by which a device is known again.

        A virtual phone that is started again is the same computer at another port.
        """
        facts = self.to_json()
        if self.kind == "virtual":
            del facts["serial"]
        return facts


def parse_facts(output: str, *, serial: str, transport: Literal["usb", "tcp"]) -> DeviceFacts:
    """Read the output of `FACTS_SCRIPT`; what is missing or garbled in it stays empty."""
    sections = split_sections(output)
    properties = _parse_properties(sections[""])
    processors = _parse_cpuinfo(sections.get("cpuinfo", ""))
    virtual = properties.get("ro.mobiledeploy.virtual") == "1"
    maker, model = properties.get("ro.product.manufacturer", ""), properties.get("ro.product.model", serial)
    if not virtual and maker and not model.lower().startswith(maker.lower()):
        model = f"{maker} {model}"
    return DeviceFacts(
        serial=serial,
        kind="virtual" if virtual else transport,
        model=model,
        soc=_first(properties, "ro.soc.model", "ro.board.platform", "ro.hardware"),
        android_version=properties.get("ro.build.version.release"),
        fingerprint=properties.get("ro.build.fingerprint", ""),
        abis=_parse_abis(properties),
        cpu_features=_common_features(processors),
        cores=_parse_cores(sections.get("clocks", ""), processors),
        memory_bytes=_parse_memory(sections.get("meminfo", "")),
        emulated=_is_emulated(properties),
        host=properties.get("ro.mobiledeploy.host"),
        emulator=properties.get("ro.mobiledeploy.emulator"),
    )


def split_sections(output: str) -> dict[str, str]:
    """Split at lines like =name=; what comes before the first is named ""."""
    pieces = re.split(r"^=(\w+)=\r?\n", output, flags=re.MULTILINE)
    return {"": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def _parse_properties(text: str) -> dict[str, str]:
    """Read getprop's `[name]: [value]`, where a value may have several lines."""
    return dict(re.findall(r"^\[([^\]]+)\]: \[(.*?)\]\r?$", text, flags=re.MULTILINE | re.DOTALL))


def _first(properties: dict[str, str], *names: str) -> str:
    return next((properties[name] for name in names if properties.get(name)), "")


def _parse_abis(properties: dict[str, str]) -> tuple[str, ...]:
    listed = _first(properties, "ro.product.cpu.abilist", "ro.product.cpu.abi")
    return tuple(abi.strip() for abi in listed.split(",") if abi.strip())


def _is_emulated(properties: dict[str, str]) -> bool:
    """Whether it is our emulated phone, or Android's own emulator, whose speed means nothing either."""
    return (
        properties.get("ro.mobiledeploy.emulated") == "1"
        or _first(properties, "ro.boot.qemu", "ro.kernel.qemu") == "1"
    )


def _parse_cpuinfo(text: str) -> dict[int, dict[str, str]]:
    """Return each core's fields; /proc/cpuinfo has a block a core, with a `processor` line first."""
    processors: dict[int, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = (part.strip() for part in line.partition(":"))
        if name == "processor" and value.isdecimal():
            current = processors.setdefault(int(value), {})
        elif colon:
            current[name] = value
    return processors


def _common_features(processors: dict[int, dict[str, str]]) -> tuple[str, ...]:
    """Return the features that every core has: `Features` on ARM, `flags` on x86."""
    listed = [set(fields.get("Features", fields.get("flags", "")).split()) for fields in processors.values()]
    return tuple(sorted(set.intersection(*listed))) if listed else ()


def _parse_cores(clocks: str, processors: dict[int, dict[str, str]]) -> tuple[Core, ...]:
    """Join the clocks (`NUMBER KHZ` a line) with /proc/cpuinfo, which lists only cores that are awake."""
    found = re.findall(r"^(\d{1,4})(?: (\d{1,9}))?\s*$", clocks, flags=re.MULTILINE)
    max_khz = {int(index): int(khz) if khz else None for index, khz in found}
    return tuple(
        Core(
            index=index,
            max_khz=max_khz.get(index),
            implementer=processors.get(index, {}).get("CPU implementer"),
            part=processors.get(index, {}).get("CPU part"),
        )
        for index in sorted(max_khz.keys() | processors.keys())
    )


def _parse_memory(text: str) -> int:
    match = re.search(r"MemTotal:\s*(\d{1,12}) kB", text)
    return int(match[1]) * 1024 if match else 0
