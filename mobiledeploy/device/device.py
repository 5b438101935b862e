"""A device in use: commands, files and facts, and nothing left behind on it."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from mobiledeploy.device.facts import FACTS_SCRIPT, DeviceFacts, parse_facts
from mobiledeploy.device.files import Progress, pull, push
from mobiledeploy.device.lock import device_lock
from mobiledeploy.device.shell import Command, Completed, OnOutput
from mobiledeploy.device.stabilization import Restored
from mobiledeploy.device.transport import (
    ConnectionLostError,
    DeadlineError,
    SilenceError,
    Transport,
    deadline_in,
)
from mobiledeploy.errors import DeviceError, DeviceRunError, MobileDeployError, TimedOutError, UsageError

FOLDER = "/data/local/tmp/mobiledeploy"

_QUICK_S = 30.0  # for commands that only look or tidy up
_HASH_S = 120.0  # for hashing a file on a slow device
_COPY_SIZE = 1024 * 1024


class Device:
    """A device that was opened; used by one thread at a time, and as a context manager.

    `connect` makes a new connection: it is called at first use, and again after a connection was
    lost or had to be given up. All methods raise DeviceError where the device can't be reached. `restored` is what
    `open_device` put back of an earlier run's changes, for a caller to tell.
    """

    def __init__(self, connect: Callable[[], Transport]) -> None:
        self._connect = connect
        self._transport: Transport | None = None
        self.restored: tuple[Restored, ...] = ()

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the device stays usable and connects again when needed."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    @property
    def serial(self) -> str:
        """The name by which ADB reaches the device."""
        return self._connected().serial

    @cached_property
    def facts(self) -> DeviceFacts:
        """What the device is; read at first use."""
        completed = self.run(["sh", "-c", FACTS_SCRIPT], timeout_s=_QUICK_S)
        transport = self._connected()
        output = completed.stdout.decode("utf-8", "replace")
        return parse_facts(output, serial=transport.serial, transport=transport.kind)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        silence_s: float | None = None,
        cwd: str | None = None,
        environment: Mapping[str, str] | None = None,
        on_output: OnOutput | None = None,
    ) -> Completed:
        """Run a command and wait for it; its exit code is for the caller to judge.

        `argv` is quoted here. `environment` holds variables that it gets beside the device's own. `on_output`
        gets "stdout" or "stderr" and each piece as it comes; stdout is then not in what is returned.
        Raises TimedOutError after `timeout_s`, or where nothing is printed for `silence_s`, and
        DeviceRunError where more than `shell.MAX_OUTPUT_BYTES` are printed; then, or on an interrupt,
        the process is killed.
        """
        command = Command(self._connected(), argv, cwd=cwd, environment=environment)
        try:
            return command.run(deadline_in(timeout_s), on_output, silence_s=silence_s)
        except SilenceError as error:
            self._kill(command)
            raise TimedOutError(
                f"{argv[0]} hung: it said nothing for {silence_s:g} s on the device, and was stopped",
                hint="Run the command again; if it hangs again, look at the device's log (adb logcat).",
            ) from error
        except DeadlineError as error:
            self._kill(command)
            raise TimedOutError(
                f"{argv[0]} did not end within {timeout_s:g} s on the device, and was stopped",
                hint="The device may be hanging or busy; a longer limit helps where it is only slow.",
            ) from error
        except ConnectionLostError:
            self.close()
            raise
        except BaseException:
            self._kill(command)
            raise

    def store(
        self,
        local: Path,
        *,
        executable: bool = False,
        progress: Progress | None = None,
        folder: str = FOLDER,
    ) -> str:
        """Bring a file to the device unless it is there already, and return its path there.

        It stays there, unless `folder` is one that goes, such as that of `scratch`.

        The name holds the content's hash, so that the same content is pushed once; what is there is
        verified by its hash before and after. `progress` gets the bytes sent and the file's size.
        Raises UsageError for a file that can't be read, DeviceError with the device's reason where
        it takes none.
        """
        try:
            with local.open("rb") as file:
                digest = _sha256(file)
                remote = f"{folder}/{digest[:16]}-{_safe_name(local.name)}"
                if self._hash_of(remote) == digest:
                    if executable:
                        self._tidy(["chmod", "755", remote])
                    return remote
                file.seek(0)
                self._push(file, local, remote, digest, 0o755 if executable else 0o644, progress)
        except OSError as error:
            raise UsageError(f"can't read {local}: {error.strerror}") from error
        return remote

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the device to `local`, which is replaced only once all of it is there."""
        descriptor, name = tempfile.mkstemp(dir=local.parent, prefix=f".{local.name}.")
        temporary = Path(name)
        try:
            with open(descriptor, "wb") as file, self._lost_connection_closed() as transport:  # noqa: PTH123
                pull(transport, remote, file)
            temporary.chmod(0o644)
            temporary.replace(local)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def scratch(self) -> Iterator[str]:
        """Give a fresh folder on the device, and remove it with all that is in it afterwards."""
        folder = f"{FOLDER}/run-{secrets.token_hex(8)}"
        self._tidy(["mkdir", "-p", folder])
        try:
            yield folder
        finally:
            # Where the device is gone there is nothing to do; `clean` finds the folder later.
            with contextlib.suppress(MobileDeployError):
                self._tidy(["rm", "-rf", folder])

    def stop_programs(self) -> None:
        """Stop whatever runs of the programs that were brought to the device."""
        text = (
            f"for exe in /proc/[0-9]*/exe; do case $(readlink $exe) in {FOLDER}/*)"
            " pid=${exe#/proc/}; kill -9 ${pid%/exe};; esac; done 2>/dev/null; true"
        )
        self._tidy(["sh", "-c", text])

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Have the device alone for the length of the block, and begin by removing what earlier runs left there.

        Raises DeviceError at once where another process has it (see `device_lock`).
        """
        with device_lock(self.facts.serial):
            self.sweep()
            yield

    def sweep(self) -> None:
        """Remove what runs of before have left, and stop them.

        For whoever has the device alone: a run that is still there has lost its owner.
        """
        left = self.run(["sh", "-c", f"ls -d {FOLDER}/run-*"], timeout_s=_QUICK_S)
        if left.exit_code == 0:
            self.stop_programs()
            self._tidy(["sh", "-c", f"rm -rf {FOLDER}/run-*"])

    def clean(self) -> int:
        """Remove everything that was ever brought to the device; return the bytes that were freed."""
        usage = self.run(["du", "-sk", FOLDER], timeout_s=_QUICK_S)
        match = re.match(rb"\d+", usage.stdout)
        self._tidy(["rm", "-rf", FOLDER])
        return int(match[0]) * 1024 if match else 0

    def _connected(self) -> Transport:
        if self._transport is None:
            self._transport = self._connect()
        return self._transport

    @contextlib.contextmanager
    def _lost_connection_closed(self) -> Iterator[Transport]:
        """Give up a connection that failed: it may have stopped in the middle of a packet."""
        try:
            yield self._connected()
        except BaseException:
            self.close()
            raise

    def _kill(self, command: Command) -> None:
        """Stop a command's process group over a new connection; does nothing where that fails too."""
        self.close()
        if command.pid is None:
            return
        with contextlib.suppress(MobileDeployError):
            # The shell's own `kill`: not every system has a program of that name.
            text = f"kill -9 -{command.pid} {command.pid}"
            Command(self._connected(), ["sh", "-c", text]).run(deadline_in(_QUICK_S), None)

    def _tidy(self, argv: Sequence[str]) -> None:
        """Run a command that has to succeed."""
        completed = self.run(argv, timeout_s=_QUICK_S)
        if completed.exit_code != 0:
            reason = completed.stderr.decode("utf-8", "replace").strip()
            raise DeviceError(f"{argv[0]} failed on the device: {reason or completed.exit_code}")

    def _push(
        self, file: BinaryIO, local: Path, remote: str, digest: str, mode: int, progress: Progress | None
    ) -> None:
        """Push under a name of its own, verify, and rename: `remote` is never half there."""
        size = local.stat().st_size
        temporary = f"{remote}.{secrets.token_hex(4)}.part"
        try:
            with self._lost_connection_closed() as transport:
                push(transport, file, size, temporary, mode, progress)
            if self._hash_of(temporary) != digest:
                raise DeviceRunError(
                    f"{local} arrived changed on the device", hint="Run the command again; check the cable."
                )
            self._tidy(["mv", "-f", temporary, remote])
        except BaseException:
            with contextlib.suppress(MobileDeployError):
                self._tidy(["rm", "-f", temporary])
            raise

    def _hash_of(self, remote: str) -> str | None:
        """Return the SHA-256 of a file on the device, None where it isn't there.

        Where the device has no sha256sum (before Android 8), the file is pulled back and hashed here.
        """
        completed = self.run(["sha256sum", remote], timeout_s=_HASH_S)
        if completed.exit_code == 0:
            return completed.stdout[:64].decode("ascii", "replace")
        if completed.exit_code != 127:  # sh: command not found
            return None
        with tempfile.TemporaryFile() as file:
            try:
                with self._lost_connection_closed() as transport:
                    pull(transport, remote, file)
            except DeviceError:
                return None
            file.seek(0)
            return _sha256(file)


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while data := file.read(_COPY_SIZE):
        digest.update(data)
    return digest.hexdigest()


def _safe_name(name: str) -> str:
    """Return `name` with only what every shell and file system takes, at most 64 characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-64:]
