"""Other work on the phone: processes that compute without end, for as long as a `Busy` fault is staged."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading

from mobiledeploy.phone.faults import Busy
from mobiledeploy.phone.processes import Processes
from mobiledeploy.phone.stage import Stage
from mobiledeploy.phone.system import System

_WORK = ["/bin/sh", "-c", "while :; do :; done"]


class Load:
    """Keeps as many busy processes as the stage asks for."""

    def __init__(self, system: System, processes: Processes, stage: Stage) -> None:
        self._system = system
        self._processes = processes
        self._stage = stage
        self._lock = threading.Lock()
        self._running: list[subprocess.Popen[bytes]] = []

    def refresh(self) -> None:
        """Start or end processes; may be called from any thread."""
        wanted = sum(busy.fault.processes or os.cpu_count() or 1 for busy in self._stage.active(Busy))
        with self._lock:
            with contextlib.suppress(OSError):  # the phone was switched off
                while len(self._running) < wanted:
                    self._running.append(self._start())
            while len(self._running) > wanted:
                process = self._running.pop()
                self._processes.signal(process.pid, signal.SIGKILL)
                self._processes.wait(process)

    def _start(self) -> subprocess.Popen[bytes]:
        process = self._processes.start(
            _WORK, cwd=self._system.root, environment=self._system.environment, merge_stderr=True
        )
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return process
