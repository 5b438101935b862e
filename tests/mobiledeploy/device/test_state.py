"""The texts are written after the sources of Android 10, 14 and the Linux kernel that `state` names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.device import Device, read_state
from mobiledeploy.device.state import Battery, CoreState, DeviceState, Temperature, parse_state
from mobiledeploy.phone import VirtualPhone

# A phone with eight cores; the fastest is asleep, the middle ones are throttled.
PHONE = """\
=virtual=

=uptime=
93784.61 512345.10
=load=
3.26 2.90 2.11 2/5123 30012
=memory=
MemAvailable:    3145728 kB
=online=
0-6
=cores=
cpu0 x
0 scaling_cur_freq 1401600
0 scaling_max_freq 1785600
0 cpuinfo_max_freq 1785600
0 scaling_governor walt
4 scaling_cur_freq 1056000
4 scaling_max_freq 1440000
4 cpuinfo_max_freq 2419200
4 scaling_governor schedutil
7 scaling_cur_freq
7 scaling_max_freq
7 cpuinfo_max_freq
7 scaling_governor
=zones=
0 temp 41300
0 type cpu-0-0-usr
1 temp 38
1 type mtktscpu
2 temp 125000
2 type tsens-off
3 temp -273000
3 type pa-therm
4 temp
4 type denied
5 temp 0
5 type dead
6 temp 33100
6 type quiet-therm
7 temp 44600
7 type BIG
=thermalservice=
IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 3
\tkilled: false
\tbroadcasts count: -1
ThermalStatusListeners:
\tcallbacks: 1
\tkilled: false
\tbroadcasts count: -1
Thermal Status: 2
Cached temperatures:
\tTemperature{mValue=99.0, mType=0, mName=CPU0, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL AIDL 2  connected: yes
Current temperatures from HAL:
\tTemperature{mValue=46.100002, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=35.25, mType=3, mName=skin, mStatus=2}
\tTemperature{mValue=31.5, mType=3, mName=TYPE_BATTERY, mStatus=0}
\tTemperature{mValue=40.0, mType=1, mName=G3D, mStatus=0}
\tTemperature{mValue=-99.9, mType=5, mName=TYPE_POWER_AMPLIFIER, mStatus=0}
\tTemperature{mValue=4.1, mType=6, mName=vbat, mStatus=0}
\tTemperature{mValue=NaN, mType=9, mName=TPU, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=1, mType=2, mName=cpu0}
Temperature static thresholds from HAL:
=battery=
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Dock powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 2540000
  status: 2
  health: 2
  present: true
  level: 71
  scale: 100
  voltage: 4123
  temperature: 318
  technology: Li-ion
  Charging state: 0
=power=
  mWakefulness=Dozing
=saver=
1
"""


def parse(text: str) -> DeviceState:
    return parse_state(text, host_time="2026-11-01T12:00:00.000+00:00")


def test_a_phones_state() -> None:
    state = parse(PHONE)
    assert state == DeviceState(
        host_time="2026-11-01T12:00:00.000+00:00",
        uptime_s=93784.61,
        cores=(
            CoreState(0, True, 1401600, 1785600, 1785600, "walt"),
            CoreState(4, True, 1056000, 1440000, 2419200, "schedutil"),
            CoreState(7, False, None, None, None, None),
        ),
        temperatures=(
            Temperature("cpu-0-0-usr", "cpu", 41.3, "sysfs", 0),
            Temperature("mtktscpu", "cpu", 38.0, "sysfs", 1),
            Temperature("quiet-therm", "other", 33.1, "sysfs", 6),
            Temperature("BIG", "cpu", 44.6, "sysfs", 7),
            Temperature("CPU0", "cpu", 46.100002, "hal"),
            Temperature("skin", "skin", 35.25, "hal"),
            Temperature("TYPE_BATTERY", "battery", 31.5, "hal"),
            Temperature("G3D", "gpu", 40.0, "hal"),
        ),
        thermal_status=2,
        thermal_overridden=False,
        battery=Battery(71, 31.8, "charging", ("usb",), False),
        battery_saver=True,
        screen_on=False,
        load_averages=(3.26, 2.90, 2.11),
        memory_available_bytes=3 * 1024**3,
        simulated=False,
    )
    assert state.thermal_status_name == "moderate"
    assert state.governors == ("walt", "schedutil")
    hottest = state.hottest("cpu")
    assert hottest is not None
    assert hottest.name == "CPU0"


def test_carriage_returns_do_no_harm() -> None:
    assert parse(PHONE.replace("\n", "\r\n")) == parse(PHONE)


def test_json_holds_plain_values() -> None:
    document = json.loads(json.dumps(parse(PHONE).to_json()))
    assert document["battery"]["plugged"] == ["usb"]
    assert document["thermal_status_name"] == "moderate"
    assert document["cores"][1]["limit_khz"] == 1440000
    assert document["load_averages"] == [3.26, 2.9, 2.11]


def test_values_set_by_hand_are_marked() -> None:
    stopped = "Service state:\n  (UPDATES STOPPED -- use 'reset' to restart)"
    text = PHONE.replace("IsStatusOverride: false", "IsStatusOverride: true").replace(
        "Service state:", stopped
    )
    state = parse(text)
    assert state.thermal_overridden
    assert state.battery.overridden
    assert state.battery.level_percent == 71


@pytest.mark.parametrize(
    ("line", "replacement", "status"),
    [
        ("status: 2\n  health", "status: 5\n  health", "full"),
        ("status: 2\n  health", "status: 4\n  health", "not charging"),
        ("status: 2\n  health", "status: 9\n  health", None),
        ("present: true", "present: false", None),
    ],
)
def test_the_battery(line: str, replacement: str, status: str | None) -> None:
    battery = parse(PHONE.replace(line, replacement)).battery
    assert battery.status == status
    assert (battery.level_percent is None) == (replacement == "present: false")


def test_on_battery_is_not_unknown() -> None:
    assert parse(PHONE.replace("USB powered: true", "USB powered: false")).battery.plugged == ()
    assert parse("=battery=\nCan't find service: battery\n").battery.plugged is None


@pytest.mark.parametrize("status", ["7", "-1", "x", ""])
def test_a_thermal_status_that_android_does_not_have(status: str) -> None:
    assert parse(PHONE.replace("Thermal Status: 2", f"Thermal Status: {status}")).thermal_status is None


@pytest.mark.parametrize(
    ("wakefulness", "is_on"), [("Awake", True), ("Dreaming", True), ("Asleep", False), ("?", None)]
)
def test_the_screen(wakefulness: str, is_on: bool | None) -> None:
    assert parse(PHONE.replace("Dozing", wakefulness)).screen_on is is_on


NOTHING = DeviceState(
    "2026-11-01T12:00:00.000+00:00",
    None,
    (),
    (),
    None,
    False,
    Battery(None, None, None, None, False),
    None,
    None,
    None,
    None,
    False,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0\xff",
        "=cores=\n=zones=\n",
        "=online=\n0-\n=cores=\ncpu* x\n",
        "=load=\nPermission denied\n=saver=\nnull\n",
        "=zones=\n0 temp 99999999999\n0 type cpu\n1 temp ٣٥\n",
    ],
)
def test_what_is_missing_stays_unknown(text: str) -> None:
    assert parse(text) == NOTHING


@given(st.lists(st.sampled_from(PHONE.splitlines(keepends=True)) | st.text(max_size=20)).map("".join))
def test_no_output_makes_it_fail(text: str) -> None:
    json.dumps(parse(text).to_json())


def test_the_virtual_phone_says_that_it_is_one(device: Device, phone: VirtualPhone) -> None:
    state = read_state(device)
    assert state.simulated
    assert state.battery == Battery(100, 25.0, "full", ("usb",), False)
    assert state.temperatures == (
        Temperature("cpu-virtual", "cpu", 30.0, "sysfs", 0),
        Temperature("cpu-virtual", "cpu", 30.0, "hal"),
    )
    assert (state.thermal_status, state.screen_on, state.battery_saver) == (0, True, False)
    assert len(state.cores) == len(phone.identity.cpufreq)
    assert state.cores[0].online
    # These are this computer's own.
    assert state.uptime_s == pytest.approx(float(Path("/proc/uptime").read_text().split()[0]), abs=60)
    assert state.load_averages is not None
    assert state.memory_available_bytes


def test_a_hot_phone(device: Device, phone: VirtualPhone) -> None:
    (phone.root / "system/state/thermal_status").write_text("3\n")
    (phone.root / "system/state/battery_temperature").write_text("412")
    (phone.root / "sys/class/thermal/thermal_zone0/temp").write_text("87650\n")
    clock = phone.root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
    clock.parent.mkdir(exist_ok=True)
    clock.write_text("614400\n")
    state = read_state(device)
    assert state.thermal_status_name == "severe"
    assert state.battery.temperature_c == 41.2
    assert [sensor.celsius for sensor in state.temperatures] == [87.65, 87.6]
    assert state.cores[0].current_khz == 614400


def test_a_phone_without_androids_services(device: Device, phone: VirtualPhone) -> None:
    for name in ("dumpsys", "settings"):
        (phone.root / "system/bin" / name).unlink()
    state = read_state(device)
    assert state.battery == NOTHING.battery
    assert (state.thermal_status, state.screen_on, state.battery_saver) == (None, None, None)
    assert state.uptime_s is not None
