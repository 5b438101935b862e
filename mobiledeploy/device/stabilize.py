"""A steadier device for the time of a measurement, by what needs no root, and put back whatever happens.

Changed are: Android's fixed-performance mode (Android 11 and later; frameworks/base, PowerManagerShellCommand),
which holds the clocks at a level that the phone can sustain, and the setting that keeps a plugged-in phone awake
(Settings.Global.STAY_ON_WHILE_PLUGGED_IN); a dark screen is woken, since that setting only keeps awake what is
awake. It goes dark by its own timeout again.

Before anything is changed a note with the old values is written on this computer. It goes once they are restored;
where that could not happen (connection lost, process killed, power gone) the next opening of the same device finds
the note and restores them: `restore_pending`. A value that somebody changed in the meantime is left alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from mobiledeploy.cache import cache_dir
from mobiledeploy.device.facts import split_sections
from mobiledeploy.device.stabilization import Change, Restored, Stabilization
from mobiledeploy.errors import DeviceError, MobileDeployError, UsageError
from ncnn_tools.files import write_atomically

if TYPE_CHECKING:
    from mobiledeploy.device.device import Device

FIXED_PERFORMANCE = "fixed_performance_mode"
STAY_ON = "stay_on_while_plugged_in"  # Settings.Global.STAY_ON_WHILE_PLUGGED_IN, and its name in commands
SCREEN = "screen"

_SET_FIXED = ["cmd", "power", "set-fixed-performance-mode-enabled"]
_PLUGGED = 1 | 2 | 4  # BatteryManager.BATTERY_PLUGGED_AC, _USB and _WIRELESS
_UNSET = "null"  # what `settings get` prints for a setting that was never made
_DARK = ("Asleep", "Dozing")  # PowerManagerInternal.wakefulnessToString
_TIMEOUT_S = 30.0

# Constant text, as in `facts`.
_SURVEY_SCRIPT = """\
echo =serial=; getprop ro.serialno
echo =boot=; cat /proc/sys/kernel/random/boot_id
echo =stay_on=; settings get global stay_on_while_plugged_in
echo =power=; dumpsys power | grep mWakefulness=
"""


@dataclass(frozen=True)
class _Survey:
    """A device before a change: who it is by any connection, its boot, and the values of now."""

    identity: str
    boot_id: str
    stay_on: str
    wakefulness: str


@dataclass(frozen=True)
class _Note:
    """What was, or (not `confirmed`) was going to be changed on a device, kept on this computer."""

    boot_id: str
    confirmed: bool
    changes: tuple[Change, ...]


def default_journal_dir() -> Path:
    """Return the folder of the notes, in the cache folder."""
    return cache_dir() / "restore"


@contextlib.contextmanager
def stabilized(device: Device, journal_dir: Path | None = None) -> Iterator[Stabilization]:
    """Stabilize a device for as long as the block runs; gives what was changed.

    What a device doesn't support is recorded, never an error. At the end, a device that can't be reached makes
    `pending`, not an error. Raises DeviceError where another process is stabilizing the same device, or where what
    an earlier one changed could not be restored, and UsageError where the note can't be written (nothing is
    changed then); else errors as of `Device.run`.
    """
    journal = journal_dir or default_journal_dir()
    survey = _survey(device)
    path = _note_path(journal, survey.identity)
    with _locked(path) as is_ours:
        if not is_ours:
            raise DeviceError(
                f"another process is stabilizing {device.serial}", hint="Wait until it has ended."
            )
        if _restore(device, path):  # of a block before this one, whose connection was lost
            survey = _survey(device)
        if (left := _read_note(path)) is not None:
            raise _not_restored(device.serial, left, path)
        planned = _plan(survey)
        _write_note(path, _Note(survey.boot_id, False, planned))
        result = Stabilization()
        try:
            result.changes = (*_apply(device, planned), *_wake(device, survey.wakefulness))
            _write_note(path, _Note(survey.boot_id, True, result.changes))
            yield result
        finally:
            try:
                result.restored = _restore(device, path)
            except MobileDeployError as error:
                result.pending = error.message


def restore_pending(device: Device, journal_dir: Path | None = None) -> tuple[Restored, ...]:
    """Restore what an earlier process changed on this device and could not restore; usually there is nothing.

    Without any note the device isn't even asked. A device that another process is stabilizing right now is
    left to it. Errors as of `Device.run`; the note then stays for the next time.
    """
    journal = journal_dir or default_journal_dir()
    if not any(journal.glob("*.json")):
        return ()
    path = _note_path(journal, _survey(device).identity)
    if not path.exists():
        return ()
    with _locked(path) as is_ours:
        return _restore(device, path) if is_ours else ()


# The device


def _survey(device: Device) -> _Survey:
    completed = device.run(["sh", "-c", _SURVEY_SCRIPT], timeout_s=_TIMEOUT_S)
    sections = split_sections(completed.stdout.decode("utf-8", "replace").replace("\r\n", "\n"))
    serial, boot_id, stay_on = (sections.get(name, "").strip() for name in ("serial", "boot", "stay_on"))
    match = re.search(r"^\s*mWakefulness=(\w+)", sections.get("power", ""), re.MULTILINE)
    return _Survey(
        # The same phone by USB and by Wi-Fi has one serial number, but two names in ADB.
        identity=serial if re.fullmatch(r"[\w.:-]{1,64}", serial, re.ASCII) else device.serial,
        boot_id=boot_id,
        stay_on=stay_on if re.fullmatch(rf"{_UNSET}|\d{{1,4}}", stay_on, re.ASCII) else "",
        wakefulness=match[1] if match else "",
    )


def _plan(survey: _Survey) -> tuple[Change, ...]:
    before = survey.stay_on
    wanted = str(_PLUGGED | (int(before) if before not in ("", _UNSET) else 0))
    return (
        Change(FIXED_PERFORMANCE, None, "true", "changed", "Android doesn't tell whether it was on"),
        Change(STAY_ON, before or None, wanted, "already" if before == wanted else "changed"),
    )


def _apply(device: Device, planned: Sequence[Change]) -> tuple[Change, ...]:
    return tuple(change if change.outcome == "already" else _make(device, change) for change in planned)


def _make(device: Device, change: Change) -> Change:
    refusal = (
        "settings can't be read"
        if change.setting == STAY_ON and change.before is None
        else _set(device, change)
    )
    return change if refusal is None else dataclasses.replace(change, outcome="unsupported", detail=refusal)


def _set(device: Device, change: Change) -> str | None:
    """Make a change; return why the device refused it, None where it took it."""
    if change.setting == FIXED_PERFORMANCE:
        return _run(device, [*_SET_FIXED, change.value])
    return _put_stay_on(device, change.value)


def _put_stay_on(device: Device, value: str) -> str | None:
    """Write the setting, or remove it for "null"; some phones refuse without an error, so it is read back."""
    if value == _UNSET:
        refusal = _run(device, ["settings", "delete", "global", STAY_ON])
    else:
        refusal = _run(device, ["settings", "put", "global", STAY_ON, value])
    if refusal is None and (present := _survey(device).stay_on) != value:
        return f"the device kept {present or 'an unknown value'}"
    return refusal


def _wake(device: Device, wakefulness: str) -> tuple[Change, ...]:
    """Wake a dark screen; nothing to restore: the screen's own timeout runs again afterwards."""
    if wakefulness not in _DARK:
        return ()
    refusal = _run(device, ["input", "keyevent", "KEYCODE_WAKEUP"])
    outcome: Literal["changed", "unsupported"] = "changed" if refusal is None else "unsupported"
    return (Change(SCREEN, wakefulness, "Awake", outcome, refusal or "it goes dark by its own timeout"),)


def _run(device: Device, argv: Sequence[str]) -> str | None:
    """Run a command; return None where it succeeded, else what it said in one line."""
    completed = device.run(argv, timeout_s=_TIMEOUT_S)
    if completed.exit_code == 0:
        return None
    said = (completed.stderr + b" " + completed.stdout).decode("utf-8", "replace").split()
    return " ".join(said)[:200] or f"exit code {completed.exit_code}"


def _restore(device: Device, path: Path) -> tuple[Restored, ...]:
    """Restore what the note names; it keeps only what failed, and goes where nothing did."""
    note = _read_note(path)
    if note is None:
        return ()
    survey = _survey(device)
    failed: list[Change] = []
    results: list[Restored] = []
    for change in note.changes:
        result = _restore_one(device, change, note, survey)
        if result is not None:
            results.append(result)
            failed += [change] if result.outcome == "failed" else []
    if failed:
        _write_note(path, dataclasses.replace(note, changes=tuple(failed)))
    else:
        path.unlink(missing_ok=True)
    return tuple(results)


def _restore_one(device: Device, change: Change, note: _Note, survey: _Survey) -> Restored | None:
    """Restore a setting; None where there was nothing to restore."""
    if change.outcome != "changed" or change.setting == SCREEN:
        return None
    if change.setting == FIXED_PERFORMANCE:
        return _restore_fixed_performance(device, note, survey)
    before = change.before or _UNSET
    if survey.stay_on == before:
        return None  # it never came to the change
    if not survey.stay_on:
        return Restored(STAY_ON, "failed", "settings can't be read")
    if survey.stay_on != change.value:
        return Restored(STAY_ON, "left alone", f"it is {survey.stay_on} by now, not our {change.value}")
    refusal = _put_stay_on(device, before)
    return Restored(STAY_ON, "restored", before) if refusal is None else Restored(STAY_ON, "failed", refusal)


def _restore_fixed_performance(device: Device, note: _Note, survey: _Survey) -> Restored | None:
    if note.boot_id and survey.boot_id and note.boot_id != survey.boot_id:
        return Restored(FIXED_PERFORMANCE, "left alone", "the device has restarted since, which ended it")
    refusal = _run(device, [*_SET_FIXED, "false"])
    if refusal is None:
        return Restored(FIXED_PERFORMANCE, "restored", "false")
    # Without the confirmation the device may simply not have this mode.
    return Restored(FIXED_PERFORMANCE, "failed", refusal) if note.confirmed else None


# The note


def _note_path(journal: Path, identity: str) -> Path:
    return journal / f"{quote(identity, safe='')}.json"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a device's lock, which ends with the process however that ends; False where another holds it."""
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_suffix(".lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _write_note(path: Path, note: _Note) -> None:
    """Write a note so that it outlives a power cut too, which it could not without the two fsync."""
    with _writing(path):
        write_atomically(path, json.dumps(asdict(note), indent=1).encode())
        for written in (path, path.parent):
            descriptor = os.open(written, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"can't write {path}: {error.strerror or error}",
            hint="Without this note a device could not be restored. $MOBILEDEPLOY_CACHE chooses another folder.",
        ) from error


def _read_note(path: Path) -> _Note | None:
    """Read a note, None where there is none; raises DeviceError for one that is damaged."""
    try:
        document = json.loads(path.read_text("utf-8"))
        changes = tuple(Change(**change) for change in document["changes"])
        return _Note(str(document["boot_id"]), bool(document["confirmed"]), changes)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DeviceError(
            f"{path}, which says what to restore on a device, can't be read",
            hint=f"Look at the device's settings by hand: `settings get global {STAY_ON}`; then delete the file.",
        ) from error


def _not_restored(serial: str, note: _Note, path: Path) -> DeviceError:
    commands = [
        f"adb -s {serial} shell {' '.join([*_SET_FIXED, 'false'])}"
        if change.setting == FIXED_PERFORMANCE
        else f"adb -s {serial} shell settings put global {STAY_ON} {change.before}"
        for change in note.changes
    ]
    return DeviceError(
        f"what an earlier run changed on {serial} could not be restored",
        hint="\n".join(["By hand:", *commands, f"Then delete {path}"]),
    )
