"""One launch of the binary on the device: its lines taken as they come, and what is to be done when it fails."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mobiledeploy.benchmark.journal import ClockError, Journal, JournalError, whole_lines
from mobiledeploy.benchmark.partial import PartialRun
from mobiledeploy.device import Completed, ConnectionLostError, Device
from mobiledeploy.device.shell import OutputName
from mobiledeploy.errors import DeviceError, DeviceRunError, MobileDeployError, TimedOutError

RECONNECT_S = 10.0  # a phone that was unplugged is back by then, or will not be
RECONNECT_EVERY_S = 0.5
_TAIL_CHARACTERS = 2000


class _Lines:
    """Takes the binary's output apart into lines; remembers the first that was wrong instead of raising."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""
        self.error: JournalError | None = None

    def __call__(self, name: OutputName, data: bytes) -> None:
        if name != "stdout":
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                self._take(line.decode("utf-8", "replace"))
            except JournalError as error:
                self.error = self.error or error


def run_launch(
    device: Device,
    argv: Sequence[str],
    journal_path: str,
    partial: PartialRun,
    number: int,
    *,
    timeout_s: float,
    silence_s: float,
    on_sample: Callable[[], None],
    environment: Mapping[str, str] | None = None,
) -> Journal:
    """Run the binary once; every line goes to `partial` when it comes.

    Where the output broke off or came garbled, the journal that the binary wrote on the device takes its
    place: reading it again is sound, measuring again would not be. Raises DeviceRunError, TimedOutError or
    DeviceError by the name of what happened, with what was kept.
    """

    def take(line: str) -> None:
        partial.take(number, line)
        on_sample()

    lines = _Lines(take)
    failure: MobileDeployError | None
    try:
        completed = device.run(
            argv, timeout_s=timeout_s, silence_s=silence_s, environment=environment, on_output=lines
        )
        failure = named_failure(completed)
    except (ConnectionLostError, TimedOutError) as error:
        failure = error
    journal = partial.launches[number].journal
    if lines.error is not None or journal.end is None:
        journal = _recover(device, journal_path, partial, number) or journal
    if failure is None and (journal.end is None or isinstance(lines.error, ClockError)):
        failure = _incomplete(lines.error)
    if failure is not None:
        kept = f"{partial.samples} samples are kept in {partial.path}; the same command goes on from there."
        failure.hint = "\n".join(filter(None, [failure.hint, kept if partial.samples else ""]))
        raise failure
    return journal


def _recover(device: Device, journal_path: str, partial: PartialRun, number: int) -> Journal | None:
    """Fetch the launch's journal from the device and put it in the place of what had come.

    Returns None where the device can't be reached or has no journal.
    """
    with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as temporary:
        local = Path(temporary, "journal")
        try:
            reach_again(device)
            device.pull(journal_path, local)
        except MobileDeployError:
            return None
        lines = whole_lines(local.read_bytes())
    launch = partial.begin(number, partial.launches[number].order)
    for line in lines:
        with contextlib.suppress(JournalError):
            partial.take(number, line)
    return launch.journal


def reach_again(device: Device) -> None:
    """Connect to a device that may just be coming back, and stop what still runs there.

    Raises DeviceError where it has not come back within RECONNECT_S.
    """
    deadline = time.monotonic() + RECONNECT_S
    while True:
        try:
            device.stop_programs()
        except DeviceError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(RECONNECT_EVERY_S)
        else:
            return


def _incomplete(error: JournalError | None) -> DeviceRunError:
    if error is not None:
        return DeviceRunError(f"the benchmark's output can't be used: {error}", hint="Run the command again.")
    return DeviceRunError("the benchmark's output broke off before its end", hint="Run the command again.")


def named_failure(completed: Completed) -> DeviceRunError | None:
    """Name what went wrong by the exit code and the binary's own message; None where nothing did."""
    code = completed.exit_code
    if code == 0:
        return None
    unknown = f"was ended by signal {code - 128}" if code > 128 else f"failed with exit code {code}"
    what, hint = _EXITS.get(code, (unknown, ""))
    tail = completed.stderr.decode("utf-8", "replace").strip()[-_TAIL_CHARACTERS:]
    rest, _, said = tail.rpartition("android_bench: error: ")
    if said != tail and "\n" not in said:
        what, tail = f"{what}: {said}", rest.strip()
    return DeviceRunError(f"the benchmark binary {what}", hint="\n".join(filter(None, [tail, hint])))


# The binary's own codes (android_bench/src/error.h), then those of a shell's child: 126 and 127 as POSIX has
# them, 128 + the signal's number.
_EXITS = {
    2: ("refused its arguments", "Please report it."),
    3: ("can't use a file", "`mobiledeploy devices --clean` removes what was pushed and makes room."),
    4: ("has no such layer", "Please report it with the bundle."),
    5: ("failed in the network", ""),
    6: ("does not support the device's CPU", ""),
    126: (
        "was refused by the device: it is built for another CPU (wrong ABI), or may not run there",
        "See `mobiledeploy devices` for the device's ABIs.",
    ),
    127: ("has gone from the device", "Run the command again; it is pushed anew."),
    132: ("was ended by SIGILL: the CPU lacks an instruction that the build uses", "Please report it."),
    134: ("aborted (SIGABRT)", ""),
    137: (
        "was killed (SIGKILL), as Android does where memory is short",
        "Close apps on the device, or run fewer configurations at once (--precision).",
    ),
    139: ("was ended by SIGSEGV", "Please report it with the bundle."),
    143: ("was asked to end (SIGTERM)", ""),
}
