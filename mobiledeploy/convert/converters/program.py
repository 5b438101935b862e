"""Run someone else's program: in a folder of its own, for a limited time, without a shell or a network."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.bundle import file_hash
from mobiledeploy.errors import ConversionError
from ncnn_tools.isolated import signal_text

_KEPT_LINES = 20  # of what it prints, for messages
_LINE_LIMIT = 1000


@dataclass(frozen=True)
class Program:
    """An executable file, and what says which one it is: its package's version, or a hash of it."""

    path: Path
    version: str

    @classmethod
    def on_path(cls, name: str) -> Program | None:
        """Find a program on PATH; its version is its hash, since upstream's tools don't tell theirs."""
        found = shutil.which(name)
        if found is None:
            return None
        path = Path(found).resolve()
        return cls(path, f"sha256:{file_hash(path)[:16]}")


def run_program(program: Program, arguments: Sequence[str], folder: Path, *, time_limit_s: float) -> str:
    """Run a program in `folder` and return the last lines that it printed.

    It gets nothing of the environment but where programs and libraries are, and, where the system lets a user make
    a network namespace, no network. It and whatever it has started end with this call.

    Raises:
        ConversionError: it could not be started, crashed, took too long, or exited with a status other than 0.
    """
    name = program.path.name
    with _running([*_without_network(), str(program.path), *arguments], folder) as process:
        late = threading.Event()

        def end() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(time_limit_s, end)
        timer.start()
        try:
            printed = _read(process)
            # Not reaped yet: so the group's number can't have gone to another process.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            timer.cancel()
            timer.join()
            _kill(process)
    last = f": {printed[-1]}" if printed else ""
    if late.is_set():
        raise ConversionError(f"{name} took longer than {time_limit_s:g} s{last}")
    if process.returncode < 0:
        raise ConversionError(f"{name} was ended by {signal_text(-process.returncode)}{last}")
    if process.returncode != 0:
        raise ConversionError(f"{name} failed with exit status {process.returncode}{last}")
    return "\n".join(printed)


@contextlib.contextmanager
def _running(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, "HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ConversionError(f"{command[0]} could not be started: {error}") from error
    with process:  # waits at its end
        yield process


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program and what it has started, also where the program itself has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _read(process: subprocess.Popen[bytes]) -> list[str]:
    """Read what a program prints until it stops, however much it is; returns the last lines that are not empty."""
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - it is a pipe
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    for line in iter(lambda: stdout.readline(_LINE_LIMIT), b""):
        if text := line.decode(errors="replace").strip():
            lines.append(text)
    return list(lines)


@functools.cache
def _without_network() -> tuple[str, ...]:
    """Return the command before a command that takes its network away; nothing where that is not to be had."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    prefix = (unshare, "--map-root-user", "--net", "--")
    attempt = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if attempt.returncode == 0 else ()
