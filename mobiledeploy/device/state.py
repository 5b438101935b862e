"""How a device is at this moment: clocks, temperatures, battery, screen, load; read without root, changing nothing.

One command reads it all, and whatever a device doesn't tell stays None. Sources, each named again where it is
read: Linux's sysfs ABI for CPUs and thermal zones (Documentation/ABI/testing/sysfs-devices-system-cpu and
sysfs-class-thermal), proc(5), and the `dumpsys` texts of AOSP's frameworks/base.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from mobiledeploy.device.facts import split_sections

if TYPE_CHECKING:
    from mobiledeploy.device.device import Device

Kind = Literal["cpu", "gpu", "battery", "skin", "other"]

_TIMEOUT_S = 60.0  # dumpsys gives up on a service by itself after 10 s

# Constant text. `read` instead of `cat`: a phone has up to a hundred zones, and each `cat` is a process.
STATE_SCRIPT = """\
show() { value=; { read -r value <"$1"; } 2>/dev/null; echo "$2 $value"; }
echo =virtual=; getprop ro.mobiledeploy.virtual
echo =uptime=; cat /proc/uptime
echo =load=; cat /proc/loadavg
echo =memory=; grep MemAvailable /proc/meminfo
echo =online=; cat /sys/devices/system/cpu/online
echo =cores=; for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
    for name in scaling_cur_freq scaling_max_freq cpuinfo_max_freq scaling_governor; do
        show "$cpu/cpufreq/$name" "${cpu##*/cpu} $name"
    done
done
echo =zones=; for zone in /sys/class/thermal/thermal_zone[0-9]*; do
    show "$zone/temp" "${zone##*_zone} temp"; show "$zone/type" "${zone##*_zone} type"
done
echo =thermalservice=; dumpsys thermalservice
echo =battery=; dumpsys battery
echo =power=; dumpsys power | grep mWakefulness=
echo =saver=; settings get global low_power
"""

# android.os.PowerManager.THERMAL_STATUS_*
THERMAL_STATUSES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")

# android.os.BatteryManager.BATTERY_STATUS_*
_BATTERY_STATUSES = {1: "unknown", 2: "charging", 3: "discharging", 4: "not charging", 5: "full"}

# The lines of com.android.server.BatteryService.dumpInternal; `Dock powered` is Android 13's.
_CHARGERS = {"AC": "ac", "USB": "usb", "Wireless": "wireless", "Dock": "dock"}

# android.os.PowerManagerInternal.wakefulnessToString
_SCREEN_ON = {"Awake": True, "Dreaming": True, "Asleep": False, "Dozing": False}

# android.os.Temperature.TYPE_*
_HAL_KINDS: Mapping[int, Kind] = {0: "cpu", 1: "gpu", 2: "battery", 3: "skin"}
_HAL_NO_TEMPERATURES = (6, 7, 8)  # TYPE_BCL_VOLTAGE, _CURRENT, _PERCENTAGE

# Names of zones, which each maker chooses; the exact ones are those of Samsung's and Google's own chips.
_KIND_NAMES: tuple[tuple[Kind, str], ...] = (
    ("skin", r"skin"),
    ("battery", r"batt"),
    ("gpu", r"gpu|^g3d$"),
    ("cpu", r"cpu|^(big|mid|little)$"),
)

# Sensors that are off say 0, -273, 125000 and the like; a phone shuts down well inside of this.
_PLAUSIBLE_C = (-40.0, 120.0)


@dataclass(frozen=True)
class CoreState:
    """A core: whether it is awake, its clock, the highest it may have now and ever (kHz), and its governor.

    `limit_khz` below `max_khz` is how most phones throttle. Source: cpufreq's scaling_cur_freq, scaling_max_freq,
    cpuinfo_max_freq and scaling_governor (Documentation/admin-guide/pm/cpufreq.rst).
    """

    index: int
    online: bool | None
    current_khz: int | None
    limit_khz: int | None
    max_khz: int | None
    governor: str | None


@dataclass(frozen=True)
class Temperature:
    """A sensor in °C: a thermal zone of the kernel ("sysfs"), with its number, or of Android's thermal HAL ("hal")."""

    name: str
    kind: Kind
    celsius: float
    source: Literal["sysfs", "hal"]
    zone: int | None = None


@dataclass(frozen=True)
class Battery:
    """The battery: charge in percent, °C, status as BatteryManager names it, and what it is plugged into.

    `plugged` is empty on battery and None where unknown. `overridden`: somebody stopped the updates
    (`dumpsys battery set …`), so that the other values are not measured.
    """

    level_percent: int | None
    temperature_c: float | None
    status: str | None
    plugged: tuple[str, ...] | None
    overridden: bool


@dataclass(frozen=True)
class DeviceState:
    """The state at `host_time` (UTC, this computer's clock), `uptime_s` after the device started.

    `thermal_status` is an index into THERMAL_STATUSES; `thermal_overridden`: somebody set it by hand.
    `simulated`: a virtual phone, whose battery, temperatures, thermal status and screen are made up.
    """

    host_time: str
    uptime_s: float | None
    cores: tuple[CoreState, ...]
    temperatures: tuple[Temperature, ...]
    thermal_status: int | None
    thermal_overridden: bool
    battery: Battery
    battery_saver: bool | None
    screen_on: bool | None
    load_averages: tuple[float, float, float] | None
    memory_available_bytes: int | None
    simulated: bool

    @property
    def thermal_status_name(self) -> str | None:
        """The thermal status in a word, None where it isn't known."""
        return None if self.thermal_status is None else THERMAL_STATUSES[self.thermal_status]

    @property
    def governors(self) -> tuple[str, ...]:
        """The governors in use, each once, in the order of the cores."""
        return tuple(dict.fromkeys(core.governor for core in self.cores if core.governor))

    def hottest(self, kind: Kind) -> Temperature | None:
        """Return the hottest sensor of a kind, None where there is none."""
        found = [temperature for temperature in self.temperatures if temperature.kind == kind]
        return max(found, key=lambda temperature: temperature.celsius, default=None)

    def to_json(self) -> dict[str, object]:
        """Return the state as it reads back from a JSON document."""
        return {
            **asdict(self),
            "cores": [asdict(core) for core in self.cores],
            "temperatures": [asdict(temperature) for temperature in self.temperatures],
            "battery": {**asdict(self.battery), "plugged": _listed(self.battery.plugged)},
            "load_averages": _listed(self.load_averages),
            "thermal_status_name": self.thermal_status_name,
        }


def read_state(device: Device) -> DeviceState:
    """Read a device's state in one command, a fraction of a second; errors as of `Device.run`."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    completed = device.run(["sh", "-c", STATE_SCRIPT], timeout_s=_TIMEOUT_S)
    return parse_state(completed.stdout.decode("utf-8", "replace"), host_time=now)


def parse_state(output: str, *, host_time: str) -> DeviceState:
    """Read the output of `STATE_SCRIPT`; what is missing, garbled or implausible in it is None or left out."""
    sections = split_sections(output.replace("\r\n", "\n"))

    def section(name: str) -> str:
        return sections.get(name, "")

    thermal = section("thermalservice")
    return DeviceState(
        host_time=host_time,
        uptime_s=_number(r"^(\d+\.\d+) ", section("uptime")),
        cores=_parse_cores(section("cores"), section("online")),
        temperatures=(*_parse_zones(section("zones")), *_parse_hal(thermal)),
        thermal_status=_parse_thermal_status(thermal),
        thermal_overridden="IsStatusOverride: true" in thermal,
        battery=_parse_battery(section("battery")),
        battery_saver={"1": True, "0": False}.get(section("saver").strip()),
        screen_on=_parse_screen(section("power")),
        load_averages=_parse_load(section("load")),
        memory_available_bytes=_parse_memory(section("memory")),
        simulated=section("virtual").strip() == "1",
    )


def _listed(values: tuple[object, ...] | None) -> list[object] | None:
    return None if values is None else list(values)


def _number(pattern: str, text: str) -> float | None:
    match = re.search(pattern, text, re.MULTILINE)
    return float(match[1]) if match else None


def _parse_table(text: str) -> dict[int, dict[str, str]]:
    """Read lines of `NUMBER NAME VALUE`; lines without a value are passed over."""
    rows: dict[int, dict[str, str]] = {}
    for number, name, value in re.findall(r"^(\d{1,4}) (\w+) (\S.*)$", text, re.MULTILINE):
        rows.setdefault(int(number), {})[name] = value.strip()
    return rows


def _parse_cores(text: str, online: str) -> tuple[CoreState, ...]:
    awake = _parse_cpu_list(online)
    rows = _parse_table(text)
    listed = {int(number) for number in re.findall(r"^(\d{1,4}) ", text, re.MULTILINE)}
    return tuple(
        CoreState(
            index=index,
            online=None if awake is None else index in awake,
            current_khz=_khz(rows.get(index, {}).get("scaling_cur_freq")),
            limit_khz=_khz(rows.get(index, {}).get("scaling_max_freq")),
            max_khz=_khz(rows.get(index, {}).get("cpuinfo_max_freq")),
            governor=rows.get(index, {}).get("scaling_governor"),
        )
        for index in sorted(listed)
    )


def _khz(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII) else None


def _parse_cpu_list(text: str) -> set[int] | None:
    """Read the kernel's list of CPUs, such as `0-3,6` (Documentation/admin-guide/cputopology.rst)."""
    if not re.fullmatch(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", text.strip(), re.ASCII):
        return None
    cpus: set[int] = set()
    for piece in text.strip().split(","):
        first, _, last = piece.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return cpus


def _parse_zones(text: str) -> list[Temperature]:
    """Read thermal zones. The ABI wants millidegrees; some vendors' drivers give degrees."""
    found = []
    for number, zone in _parse_table(text).items():
        name, temp = zone.get("type", "zone"), zone.get("temp", "")
        if re.fullmatch(r"-?\d{1,7}", temp, re.ASCII):
            value = int(temp)
            celsius = value / 1000 if abs(value) >= 1000 else float(value)
            if _is_plausible(celsius):
                found.append(Temperature(name, _kind(name) or "other", celsius, "sysfs", number))
    return found


def _parse_hal(text: str) -> list[Temperature]:
    """Read the HAL's present temperatures, not the cached ones before them.

    Source: com.android.server.power.ThermalManagerService.dumpInternal, android.os.Temperature.toString.
    """
    present = text.partition("Current temperatures from HAL:")[2].partition("Current cooling devices")[0]
    pattern = r"Temperature\{mValue=(-?\d{1,4}(?:\.\d+)?), mType=(-?\d{1,3}), mName=([^,}]+), mStatus=-?\d+\}"
    found = []
    for value, kind, name in re.findall(pattern, present):
        if int(kind) not in _HAL_NO_TEMPERATURES and _is_plausible(float(value)):
            # The name first: on some Samsung phones the numbers are those of another enumeration.
            chosen = _kind(name) or _HAL_KINDS.get(int(kind), "other")
            found.append(Temperature(name, chosen, float(value), "hal"))
    return found


def _kind(name: str) -> Kind | None:
    return next((kind for kind, pattern in _KIND_NAMES if re.search(pattern, name, re.IGNORECASE)), None)


def _is_plausible(celsius: float) -> bool:
    return celsius != 0 and _PLAUSIBLE_C[0] < celsius < _PLAUSIBLE_C[1]


def _parse_thermal_status(text: str) -> int | None:
    value = _number(r"^\s*Thermal Status: (\d)\s*$", text)
    return int(value) if value is not None and value < len(THERMAL_STATUSES) else None


def _parse_battery(text: str) -> Battery:
    """Read BatteryService's dump: the level is percent, the temperature in tenths of °C."""
    fields = dict(re.findall(r"^\s+([A-Za-z ]+): (\S+)\s*$", text, re.MULTILINE))
    chargers = {name: fields.get(f"{line} powered") for line, name in _CHARGERS.items()}
    is_there = fields.get("present") != "false"
    level, tenths = (
        _number(r"^\s+level: (\d{1,3})\s*$", text),
        _number(r"^\s+temperature: (-?\d{1,4})\s*$", text),
    )
    celsius = None if tenths is None else tenths / 10
    return Battery(
        level_percent=int(level) if is_there and level is not None and level <= 100 else None,
        temperature_c=celsius if is_there and celsius is not None and _is_plausible(celsius) else None,
        status=_parse_battery_status(fields.get("status", "")) if is_there else None,
        plugged=(
            tuple(name for name, value in chargers.items() if value == "true")
            if any(value in ("true", "false") for value in chargers.values())
            else None
        ),
        overridden="UPDATES STOPPED" in text,
    )


def _parse_battery_status(text: str) -> str | None:
    return _BATTERY_STATUSES.get(int(text)) if re.fullmatch(r"\d", text, re.ASCII) else None


def _parse_screen(text: str) -> bool | None:
    match = re.search(r"^\s*mWakefulness=(\w+)", text, re.MULTILINE)
    return _SCREEN_ON.get(match[1]) if match else None


def _parse_load(text: str) -> tuple[float, float, float] | None:
    match = re.match(r"(\d+\.\d+) (\d+\.\d+) (\d+\.\d+) ", text.lstrip())
    return (float(match[1]), float(match[2]), float(match[3])) if match else None


def _parse_memory(text: str) -> int | None:
    kilobytes = _number(r"MemAvailable:\s*(\d{1,12}) kB", text)
    return None if kilobytes is None else int(kilobytes) * 1024
