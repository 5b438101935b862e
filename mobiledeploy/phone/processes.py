"""The processes that run on the virtual phone: started in groups of their own, none of them left behind.

Background processes end with the shell that started them: unlike a phone's, they must not outlive
the phone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path


class Processes:
    """Starts processes and knows which still run, so that `kill_all` can end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def start(
        self, argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str], merge_stderr: bool
    ) -> subprocess.Popen[bytes]:
        """Start a process that leads its own group, with pipes to all its streams.

        Raises OSError where it can't be started, or after `kill_all`.
        """
        with self._lock:
            if self._stopped:
                raise OSError("the phone is switched off")
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge_stderr else subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a process, end what it left in its group, and return its exit code as adbd gives it.

        A process that a signal killed has 128 + the signal's number.
        """
        # Not reaped yet: so the group's number can't have gone to another process.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            _kill_group(process)
            code = process.wait()
            self._running.discard(process)
        return code if code >= 0 else 128 - code

    def hang_up(self, process: subprocess.Popen[bytes]) -> None:
        """Send the process SIGHUP if it still runs, as adbd does when a computer leaves its stream.

        Under nohup this process ignores SIGHUP, and what it starts does so too: there it is SIGTERM.
        """
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        with self._lock:
            if process in self._running:  # else its number may be another process's by now
                os.kill(process.pid, signal.SIGTERM if ignored else signal.SIGHUP)

    def signal(self, leader: int, number: int, *, member: int | None = None) -> bool:
        """Send a signal to the group that `leader` leads, or to one process in it; False where it has ended."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if all(process.pid != leader for process in self._running):
                return False  # its number may be another group's by now
            if member is None:
                os.killpg(leader, number)
                return True
            if os.getpgid(member) == leader:
                os.kill(member, number)
                return True
        return False

    def kill_all(self) -> None:
        """Kill every group that still runs; nothing can be started any more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
