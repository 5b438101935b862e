"""Android's commands on the virtual phone, each as a client would type it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mobiledeploy.device import open_device
from mobiledeploy.phone import VirtualPhone


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Shell = Callable[[str], Outcome]


@pytest.fixture
def shell(phone: VirtualPhone) -> Shell:
    def run(text: str) -> Outcome:
        with open_device(phone.serial) as device:
            completed = device.run(["sh", "-c", text], timeout_s=20)
        return Outcome(completed.exit_code, completed.stdout.decode(), completed.stderr.decode())

    return run


def test_the_battery(shell: Shell, phone: VirtualPhone) -> None:
    assert shell("dumpsys battery").out == (
        "Current Battery Service state:\n"
        "  AC powered: false\n"
        "  USB powered: true\n"
        "  Wireless powered: false\n"
        "  Dock powered: false\n"
        "  status: 5\n"
        "  health: 2\n"
        "  present: true\n"
        "  level: 100\n"
        "  scale: 100\n"
        "  temperature: 250\n"
        "  technology: virtual\n"
    )
    (phone.root / "system/state/battery_plugged").write_text("none\n")
    assert "true" not in shell("dumpsys battery | grep powered").out


def test_temperatures_follow_the_zones(shell: Shell, phone: VirtualPhone) -> None:
    second = phone.root / "sys/class/thermal/thermal_zone1"
    second.mkdir()
    (second / "type").write_text("skin-virtual\n")
    (second / "temp").write_text("41790\n")
    (phone.root / "system/state/thermal_status").write_text("4\n")
    out = shell("dumpsys thermalservice").out
    assert "Thermal Status: 4\n" in out
    assert out.partition("Current temperatures from HAL:\n")[2] == (
        "\tTemperature{mValue=30.0, mType=0, mName=cpu-virtual, mStatus=4}\n"
        "\tTemperature{mValue=41.7, mType=0, mName=skin-virtual, mStatus=4}\n"
        "Current cooling devices from HAL:\n"
    )
    assert shell("cat /sys/class/thermal/thermal_zone1/temp").out == "41790\n"


@pytest.mark.parametrize("content", ["", "\n", "-5200\n"])
def test_a_zone_without_a_sensible_value_does_no_harm(
    shell: Shell, phone: VirtualPhone, content: str
) -> None:
    (phone.root / "sys/class/thermal/thermal_zone0/temp").write_text(content)
    outcome = shell("dumpsys thermalservice")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("Current cooling devices from HAL:\n")


def test_settings(shell: Shell) -> None:
    assert shell("settings get global some_key").out == "null\n"
    assert (
        shell("settings put global some_key 'two words'; settings get global some_key").out == "two words\n"
    )
    assert shell("settings get secure some_key").out == "null\n"
    assert shell("settings delete global some_key").out == "Deleted 1 rows\n"
    assert shell("settings delete global some_key").out == "Deleted 0 rows\n"


@pytest.mark.parametrize(
    "text",
    ["get nowhere a", "get global ../x", "get global .hidden", "put global 'a b' 1", "list global a", ""],
)
def test_settings_refuse_what_is_no_key(shell: Shell, phone: VirtualPhone, text: str) -> None:
    before = sorted(phone.root.rglob("*"))
    assert shell(f"settings {text}").code == 255
    assert sorted(phone.root.rglob("*")) == before


def test_the_fixed_performance_mode(shell: Shell, phone: VirtualPhone) -> None:
    mode = phone.root / "system/state/fixed_performance_mode"
    command = "cmd power set-fixed-performance-mode-enabled"
    assert shell(f"{command} true") == (0, "", "")
    assert mode.read_text() == "true\n"
    assert shell(f"{command} false").code == 0
    assert mode.read_text() == "false\n"
    mode.write_text("unsupported\n")
    outcome = shell(f"{command} true")
    assert (outcome.code, outcome.out) == (255, "")
    assert outcome.err.startswith("Failed to set FIXED_PERFORMANCE mode\n")
    assert shell("cmd power brew-coffee") == (255, "Unknown command: brew-coffee\n", "")
    assert "Can't find service: coffee" in shell("cmd coffee brew").err


@pytest.mark.parametrize(("word", "value"), [("true", "15"), ("usb", "2"), ("false", "0")])
def test_staying_on(shell: Shell, phone: VirtualPhone, word: str, value: str) -> None:
    wakefulness = phone.root / "system/state/wakefulness"
    wakefulness.write_text("Asleep\n")
    assert shell(f"svc power stayon {word}; settings get global stay_on_while_plugged_in").out == f"{value}\n"
    assert wakefulness.read_text() == ("Asleep\n" if word == "false" else "Awake\n")
    assert f"  mStayOnWhilePluggedInSetting={value}\n" in shell("dumpsys power").out
    assert shell("svc power stayon maybe").code == 255


def test_the_screen(shell: Shell) -> None:
    shell("input keyevent KEYCODE_SLEEP")
    assert "  mWakefulness=Asleep\n" in shell("dumpsys power").out
    shell("input keyevent 224")
    assert "  mWakefulness=Awake\n" in shell("dumpsys power").out
    assert shell("input tap 1 1").code == 255


def test_a_service_that_is_not_there(shell: Shell) -> None:
    assert shell("dumpsys coffee") == (1, "", "Can't find service: coffee\n")


def test_a_kept_folder_keeps_the_phones_state_and_serial_number(tmp_path: Path) -> None:
    serials = []
    for level in ("100", "12"):
        with VirtualPhone(tmp_path / "kept") as phone, open_device(phone.serial) as device:
            assert f"  level: {level}\n" in device.run(["dumpsys", "battery"], timeout_s=20).stdout.decode()
            serials.append(device.run(["getprop", "ro.serialno"], timeout_s=20).stdout)
            (phone.root / "system/state/battery_level").write_text("12\n")
    assert serials[0] == serials[1]
    assert serials[0].startswith(b"virtual-")
