"""The pushed programs that run, and the faults that hit them: killed, hanging, throttled.

The `start` shim writes each program's process id into a FIFO before the program takes its place. A thread
reads them and sends the signals, so that the phone's own short commands are never hit.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mobiledeploy.phone.faults import Hang, Kill, Throttle
from mobiledeploy.phone.heat import Heat
from mobiledeploy.phone.processes import Processes
from mobiledeploy.phone.stage import Injection, Stage

_TICK_S = 0.05  # how often a temperature on its way and a program's end are looked at


@dataclass(eq=False)
class _Program:
    """A pushed program: its process, the leader of its process group, and what it has suffered."""

    pid: int
    leader: int
    started: float = field(default_factory=time.monotonic)
    suffered: set[Injection[Any]] = field(default_factory=set)
    hanging: Injection[Any] | None = None


class Programs:
    """Watches the programs of one phone from a thread of its own, from its making until `stop`.

    `fifo` is where the shim reports; it is made anew.
    """

    def __init__(self, fifo: Path, processes: Processes, stage: Stage, heat: Heat) -> None:
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo, 0o600)
        # For writing too: so it neither waits for a writer nor ends with the last one.
        self._reports = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._processes = processes
        self._stage = stage
        self._heat = heat
        self._programs: list[_Program] = []
        self._stopped_groups: set[int] = set()
        self._pending = b""
        self._stopping = False
        self._thread = threading.Thread(target=self._watch, name="phone-programs", daemon=True)
        self._thread.start()

    def refresh(self) -> None:
        """Look at the faults again; may be called from any thread until `stop`."""
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """End the thread; what it has stopped must be killed by the caller."""
        self._stopping = True
        self.refresh()
        self._thread.join()
        os.close(self._wake)
        os.close(self._reports)

    def _watch(self) -> None:
        poller = select.poll()
        poller.register(self._reports, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while not self._stopping:
            wait_s = self._step(time.monotonic())
            poller.poll(None if math.isinf(wait_s) else math.ceil(wait_s * 1000))
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            self._take_reports()
        self._heat.step(None, time.monotonic(), busy=False)

    def _take_reports(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._pending += os.read(self._reports, 65536)
        *lines, self._pending = self._pending.split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, ProcessLookupError):  # nonsense, or ended already
                pid = int(line)
                self._programs.append(_Program(pid, os.getpgid(pid)))

    def _step(self, now: float) -> float:
        """Do what is due; return the seconds until something may be due again."""
        self._programs = [program for program in self._programs if self._signal(program, 0)]
        wait_s = min([math.inf, *(self._strike(program, now) for program in self._programs)])
        throttles = self._stage.active(Throttle)
        throttle = throttles[-1].fault if throttles else None
        running = [program for program in self._programs if program.hanging is None]
        hot = self._heat.step(throttle, now, busy=bool(running))
        if throttle is None or not hot:
            self._continue(set(self._stopped_groups))
        elif running:
            self._pace(throttle, {program.leader for program in running})
            return 0.0
        if throttle is not None and (
            running or self._heat.changing or (hot and not math.isinf(throttle.cool))
        ):
            return min(wait_s, _TICK_S)
        return wait_s

    def _strike(self, program: _Program, now: float) -> float:
        """Kill or hang a program where that is due; return the seconds until the next of these is."""
        if program.hanging is not None and program.hanging.healed.is_set():
            program.hanging = None
            self._signal_group(program.leader, signal.SIGCONT)
        waits = [math.inf]
        injections: list[Injection[Any]] = [*self._stage.active(Kill), *self._stage.active(Hang)]
        for injection in injections:
            if injection in program.suffered:
                continue
            wait_s = max(program.started, injection.since) + injection.fault.after - now
            if wait_s > 0:
                waits.append(wait_s)
                continue
            program.suffered.add(injection)
            if injection.strike():
                self._hit(program, injection)
        return min(waits)

    def _hit(self, program: _Program, injection: Injection[Any]) -> None:
        if isinstance(injection.fault, Kill):
            self._signal(program, injection.fault.number)
        else:
            program.hanging = injection
            self._stopped_groups.discard(program.leader)  # it must not be continued with the throttled ones
            self._signal_group(program.leader, signal.SIGSTOP)

    def _pace(self, throttle: Throttle, groups: set[int]) -> None:
        """Let the groups run for their share of one period, then stop them for the rest.

        The stop follows what the run really took: a late wake-up changes the period, not the share.
        """
        begun = time.monotonic()
        self._continue(set(self._stopped_groups))
        time.sleep(throttle.to * throttle.period_ms / 1000)
        for leader in groups:
            if self._signal_group(leader, signal.SIGSTOP):
                self._stopped_groups.add(leader)
        time.sleep((time.monotonic() - begun) * (1 - throttle.to) / throttle.to)

    def _continue(self, groups: set[int]) -> None:
        for leader in groups:
            self._stopped_groups.discard(leader)
            self._signal_group(leader, signal.SIGCONT)

    def _signal_group(self, leader: int, number: int) -> bool:
        return self._processes.signal(leader, number)

    def _signal(self, program: _Program, number: int) -> bool:
        return self._processes.signal(program.leader, number, member=program.pid)
