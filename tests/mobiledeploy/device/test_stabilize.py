from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mobiledeploy.device import Device, open_device
from mobiledeploy.device.stabilization import Change, Restored
from mobiledeploy.device.stabilize import (
    FIXED_PERFORMANCE,
    SCREEN,
    STAY_ON,
    default_journal_dir,
    restore_pending,
    stabilized,
)
from mobiledeploy.errors import DeviceError, UsageError
from mobiledeploy.phone import VirtualPhone


def stay_on(phone: VirtualPhone) -> Path:
    return phone.root / "system/state/settings/global/stay_on_while_plugged_in"


def values(phone: VirtualPhone) -> tuple[str, str]:
    """The fixed-performance mode and the stay-awake setting as they are on the phone."""
    fixed = phone.root / "system/state/fixed_performance_mode"
    setting = stay_on(phone)
    return fixed.read_text().strip(), setting.read_text().strip() if setting.exists() else "null"


def notes() -> list[Path]:
    return sorted(default_journal_dir().glob("*.json"))


def outcomes(restored: tuple[Restored, ...]) -> dict[str, str]:
    return {entry.setting: entry.outcome for entry in restored}


BOTH = {FIXED_PERFORMANCE: "restored", STAY_ON: "restored"}


def test_changed_recorded_and_restored(device: Device, phone: VirtualPhone) -> None:
    with stabilized(device) as result:
        assert values(phone) == ("true", "7")
        assert len(notes()) == 1
        assert result.changes == (
            Change(FIXED_PERFORMANCE, None, "true", "changed", "Android doesn't tell whether it was on"),
            Change(STAY_ON, "0", "7", "changed"),
        )
        assert result.restored == ()
    assert values(phone) == ("false", "0")
    assert outcomes(result.restored) == BOTH
    assert result.pending is None
    assert notes() == []
    document = json.loads(json.dumps(result.to_json()))
    assert document["changes"][1] == {
        "setting": "stay_on_while_plugged_in",
        "before": "0",
        "value": "7",
        "outcome": "changed",
        "detail": "",
    }


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, DeviceError])
def test_errors_and_interrupts_restore_too(phone: VirtualPhone, error: type[BaseException]) -> None:
    with open_device(phone.serial) as device:
        with pytest.raises(error), stabilized(device):
            raise error("stop")
        assert values(phone) == ("false", "0")
    assert notes() == []


@pytest.mark.parametrize(
    ("before", "during"), [("null", "7"), ("3", "7"), ("8", "15"), ("7", "7"), ("15", "15")]
)
def test_each_old_value_comes_back(phone: VirtualPhone, before: str, during: str) -> None:
    if before == "null":
        stay_on(phone).unlink()
    else:
        stay_on(phone).write_text(f"{before}\n")
    with open_device(phone.serial) as device:
        with stabilized(device) as result:
            assert values(phone)[1] == during
        assert values(phone)[1] == before
        assert result.changes[1].outcome == ("already" if before == during else "changed")


def test_a_dark_screen_is_woken(phone: VirtualPhone) -> None:
    wakefulness = phone.root / "system/state/wakefulness"
    wakefulness.write_text("Asleep\n")
    with open_device(phone.serial) as device, stabilized(device) as result:
        assert wakefulness.read_text() == "Awake\n"
        assert result.changes[2] == Change(
            SCREEN, "Asleep", "Awake", "changed", "it goes dark by its own timeout"
        )
    assert outcomes(result.restored) == BOTH


def test_what_a_device_lacks_is_recorded(phone: VirtualPhone) -> None:
    """As on a phone before Android 11, whose maker also took away `settings`."""
    (phone.root / "system/state/fixed_performance_mode").write_text("unsupported\n")
    (phone.root / "system/bin/settings").unlink()
    with open_device(phone.serial) as device, stabilized(device) as result:
        assert [change.outcome for change in result.changes] == ["unsupported", "unsupported"]
        assert result.changes[0].detail.startswith("Failed to set FIXED_PERFORMANCE mode")
        assert result.changes[1].detail == "settings can't be read"
    assert result.restored == ()
    assert notes() == []


def replace_settings(phone: VirtualPhone, script: str) -> Path:
    """Put a script before the phone's `settings`, which goes on for all that it doesn't end."""
    settings = phone.root / "system/bin/settings"
    text = settings.read_text()
    settings.write_text(text.replace("#!/bin/sh\n", f"#!/bin/sh\n{script}\n", 1))
    return settings


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        ("[ $1 = put ] && exit 0", "the device kept 0"),
        ("[ $1 = put ] && { echo 'SecurityException: no' >&2; exit 255; }", "SecurityException: no"),
    ],
)
def test_a_refused_setting_is_recorded(phone: VirtualPhone, script: str, detail: str) -> None:
    replace_settings(phone, script)
    with open_device(phone.serial) as device, stabilized(device) as result:
        assert (result.changes[1].outcome, result.changes[1].detail) == ("unsupported", detail)
    assert outcomes(result.restored) == {FIXED_PERFORMANCE: "restored"}


def test_what_the_user_changed_is_left_alone(phone: VirtualPhone) -> None:
    with open_device(phone.serial) as device, stabilized(device) as result:
        device.run(["settings", "put", "global", STAY_ON, "2"], timeout_s=20)
    assert outcomes(result.restored) == {FIXED_PERFORMANCE: "restored", STAY_ON: "left alone"}
    assert "it is 2 by now, not our 7" in str(result.restored[1])
    assert values(phone) == ("false", "2")
    assert notes() == []


def test_after_a_lost_connection_the_next_contact_restores(phone: VirtualPhone, proxy: Any) -> None:
    """The next contact goes another way, as when a phone comes back by Wi-Fi."""
    with open_device(f"127.0.0.1:{proxy.port}") as device:
        with stabilized(device) as result:
            proxy.close()
            proxy.cut_after(0)
        assert result.pending is not None
        assert result.restored == ()
        assert values(phone) == ("true", "7")
    with open_device(phone.serial) as again:
        assert outcomes(again.restored) == BOTH
    assert values(phone) == ("false", "0")
    assert notes() == []
    with open_device(phone.serial) as again:
        assert again.restored == ()


def test_a_connection_that_comes_back_restores_at_once(phone: VirtualPhone, proxy: Any) -> None:
    with open_device(f"127.0.0.1:{proxy.port}") as device:
        with pytest.raises(DeviceError), stabilized(device) as result:
            proxy.cut_after(0)
            device.run(["true"], timeout_s=20)
        assert outcomes(result.restored) == BOTH
    assert values(phone) == ("false", "0")


KILLED = """\
import os, sys
from mobiledeploy.device import open_device, stabilize
if sys.argv[2] == "before the change":
    stabilize._apply = lambda *_: os.kill(os.getpid(), 9)
elif sys.argv[2] == "between the changes":
    stabilize._put_stay_on = lambda *_: os.kill(os.getpid(), 9)
with open_device(sys.argv[1]) as device, stabilize.stabilized(device):
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(
    ("moment", "left", "restored"),
    [
        ("before the change", ("false", "0"), {FIXED_PERFORMANCE: "restored"}),
        ("between the changes", ("true", "0"), {FIXED_PERFORMANCE: "restored"}),
        ("in the block", ("true", "7"), BOTH),
    ],
)
def test_after_a_kill_the_next_contact_restores(
    phone: VirtualPhone, moment: str, left: tuple[str, str], restored: dict[str, str]
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, phone.serial, moment], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert values(phone) == left
    assert len(notes()) == 1
    with open_device(phone.serial) as device:
        assert outcomes(device.restored) == restored
    assert values(phone) == ("false", "0")
    assert notes() == []


def test_a_kill_on_a_phone_without_the_mode_leaves_nothing_behind(phone: VirtualPhone) -> None:
    (phone.root / "system/state/fixed_performance_mode").write_text("unsupported\n")
    subprocess.run([sys.executable, "-c", KILLED, phone.serial, "before the change"], check=False, timeout=60)
    with open_device(phone.serial) as device:
        assert device.restored == ()
    assert notes() == []


def test_a_running_process_is_not_disturbed(phone: VirtualPhone) -> None:
    with open_device(phone.serial) as first, stabilized(first):
        with open_device(phone.serial) as second:
            assert second.restored == ()
            assert values(phone) == ("true", "7")
            with pytest.raises(DeviceError, match="another process is stabilizing"), stabilized(second):
                pass
        assert values(phone) == ("true", "7")
    assert values(phone) == ("false", "0")


def test_another_phone_is_not_touched(phone: VirtualPhone) -> None:
    subprocess.run([sys.executable, "-c", KILLED, phone.serial, "in the block"], check=False, timeout=60)
    with VirtualPhone() as other:
        stay_on(other).write_text("7\n")
        with open_device(other.serial) as device:
            assert device.restored == ()
        assert values(other) == ("false", "7")
    assert len(notes()) == 1


def test_a_restart_has_ended_the_mode(phone: VirtualPhone) -> None:
    """The setting outlives a restart, the mode does not; the user may have switched it on again."""
    with open_device(phone.serial) as device, stabilized(device) as result:
        (note,) = notes()
        note.write_text(json.dumps(json.loads(note.read_text()) | {"boot_id": "another"}))
    assert outcomes(result.restored) == {FIXED_PERFORMANCE: "left alone", STAY_ON: "restored"}
    assert values(phone) == ("true", "0")


def test_what_can_not_be_restored_is_kept_and_said(phone: VirtualPhone) -> None:
    settings = phone.root / "system/bin/settings"
    whole = settings.read_text()
    with open_device(phone.serial) as device:
        with stabilized(device) as result:
            replace_settings(phone, "[ $1 = put ] && { echo no >&2; exit 1; }")
        assert outcomes(result.restored) == {FIXED_PERFORMANCE: "restored", STAY_ON: "failed"}
        with pytest.raises(DeviceError, match="could not be restored") as raised, stabilized(device):
            pass
        assert f"shell settings put global {STAY_ON} 0" in raised.value.hint
        assert "fixed-performance" not in raised.value.hint
    settings.write_text(whole)
    with open_device(phone.serial) as device:
        assert outcomes(device.restored) == {STAY_ON: "restored"}
    assert values(phone) == ("false", "0")


def test_the_next_block_restores_first(phone: VirtualPhone) -> None:
    """Of a device that stays open, as in a sweep."""
    settings = phone.root / "system/bin/settings"
    whole = settings.read_text()
    with open_device(phone.serial) as device:
        with stabilized(device):
            replace_settings(phone, "exit 1")
        assert values(phone)[1] == "7"
        settings.write_text(whole)
        with stabilized(device) as result:
            assert result.changes[1].before == "0"
    assert values(phone) == ("false", "0")


def test_without_a_note_the_device_is_not_asked() -> None:
    def connect() -> Any:
        raise AssertionError

    assert restore_pending(Device(connect)) == ()


@pytest.mark.parametrize("text", ["", "[]", '{"boot_id": "", "confirmed": true, "changes": [{"x": 1}]}'])
def test_a_damaged_note_is_named(phone: VirtualPhone, text: str) -> None:
    with open_device(phone.serial) as device:
        with stabilized(device) as result:
            (note,) = notes()
            note.write_text(text)
        assert result.pending is not None
    with pytest.raises(DeviceError, match="can't be read") as raised:
        open_device(phone.serial)
    assert str(note) in raised.value.message


def test_the_note_is_written_before_the_change(phone: VirtualPhone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can't be written, nothing is changed."""
    with open_device(phone.serial) as device:

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(UsageError, match="No space left on device"), stabilized(device):
            pass
    assert values(phone) == ("false", "0")
