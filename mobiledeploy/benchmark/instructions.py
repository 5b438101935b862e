"""Instructions instead of times: what an emulated phone can say of a model's speed on an ARM CPU.

The binary marks where an inference, and each of its layers, begins and ends; a plugin that QEMU loads counts what
is executed and writes the count at each mark into a file (android_bench/plugin/count_instructions.c).
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from android_bench import BuildError, build_counter, examine_emulator
from mobiledeploy.cache import cache_dir
from mobiledeploy.device import Device
from mobiledeploy.errors import DeviceError, DeviceRunError

_FILE = "instructions"
_BEGIN, _LAYER, _END = 1, 2, 3  # bench::Mark of android_bench/src/marks.h
_INSTALL = "Debian and Ubuntu have a QEMU that takes plugins in the package qemu-user (not qemu-user-static)."


@dataclass
class Counts:
    """Instructions of one configuration: of each inference, and of each layer of one more."""

    inferences: list[int] = field(default_factory=list)
    layers: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Counter:
    """What counts on a device: the plugin there, the emulator by name and version, and the CPU that it emulates."""

    plugin: str
    emulator: str
    cpu: str

    def environment(self, folder: str) -> dict[str, str]:
        """Return the variables that make QEMU count into a file in `folder`."""
        return {"QEMU_PLUGIN": f"{self.plugin},out={folder}/{_FILE}"}

    def read(self, device: Device, folder: str) -> dict[str, Any]:
        """Fetch what was counted: by the configuration's place in the launch, as text as JSON has its keys.

        Raises DeviceError where there is no file, DeviceRunError where it is none of the plugin's.
        """
        with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as temporary:
            local = Path(temporary, _FILE)
            device.pull(f"{folder}/{_FILE}", local)
            counts = parse_marks(local.read_text("utf-8", "replace"))
        return {str(place): asdict(found) for place, found in counts.items()}

    def to_entry(self, counts: Mapping[str, Any], network: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what a run's entry says of a configuration's counts; `network` names its layers as they ran."""
        return {
            "cpu": self.cpu,
            "emulator": self.emulator,
            "per_inference": counts["inferences"],
            "median": round(statistics.median(counts["inferences"])),
            "layers": [
                {"name": layer["name"], "type": layer["type"], "count": count}
                for layer, count in zip(network, counts["layers"], strict=True)
            ],
        }


def prepare_counter(device: Device) -> Counter:
    """Bring the plugin to a device, built where it is not cached.

    Raises DeviceError for a device that can't count, and DeviceRunError where the plugin can't be built.
    """
    facts = device.facts
    if facts.emulator is None:
        raise DeviceError(
            f"{facts.label} can't count instructions: that takes a virtual phone with an emulated ARM CPU",
            hint="Choose one with --cpu, such as --cpu cortex-a53.",
        )
    try:
        emulator = examine_emulator(facts.emulator)
        if emulator.plugin_api is None:
            raise DeviceError(
                f"{facts.emulator} can't count instructions: it was built without plugins", hint=_INSTALL
            )
        plugin = build_counter(emulator.plugin_api, cache_dir=cache_dir())
    except BuildError as error:
        hint = "\n".join(filter(None, [error.hint, error.log_tail]))
        raise DeviceRunError(f"instructions can't be counted: {error}", hint=hint) from error
    return Counter(device.store(plugin), emulator.version, facts.soc.removesuffix(" (QEMU)"))


def parse_marks(text: str) -> dict[int, Counts]:
    """Read the plugin's file, a line `KIND NUMBER INSTRUCTIONS` a mark; returns counts by configuration.

    Raises DeviceRunError for what is no such file.
    """
    found: dict[int, Counts] = {}
    marks: list[int] = []  # of the inference that has begun: its begin and its layers
    try:
        for line in text.splitlines():
            kind, number, count = map(int, line.split(" "))
            if kind == _BEGIN:
                marks = [count]
            elif kind == _LAYER and marks:
                marks.append(count)
            elif kind == _END and marks:
                _add(found.setdefault(number, Counts()), marks, count)
                marks = []
            else:
                raise ValueError
    except ValueError as error:
        raise DeviceRunError(f"the counted instructions can't be used: {line[:80]!r}") from error
    return found


def _add(counts: Counts, marks: Sequence[int], end: int) -> None:
    if len(marks) == 1:
        counts.inferences.append(end - marks[0])
    else:
        counts.layers = [after - before for before, after in itertools.pairwise(marks)]
