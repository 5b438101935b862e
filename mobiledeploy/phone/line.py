"""The socket of one connection, on which a cut can be staged after any byte or at any moment."""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mobiledeploy.phone.faults import Cut
from mobiledeploy.phone.stage import Injection, Stage

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: no time to wait, so a reset instead of a FIN


@dataclass
class _Armed:
    """A cut that waits for this line: the bytes that may still pass, and the moment on `time.monotonic`."""

    injection: Injection[Cut]
    left: float
    due: float


class Line:
    """Reads and writes one socket for a reader and a writer thread; both wait interruptibly.

    `unplugged` is told of a cut before the peer can notice it. `recv_into` and `sendall` raise
    ConnectionResetError once the line is cut.
    """

    def __init__(
        self, connection: socket.socket, stage: Stage, unplugged: Callable[[Injection[Cut]], None]
    ) -> None:
        self._socket = connection
        self._stage = stage
        self._unplugged = unplugged
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._known: set[Injection[Cut]] = set()
        self._used = self._cut = self._silent = self._closed = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def refresh(self) -> None:
        """Arm the cuts that were staged since; may be called from any thread."""
        for injection in self._stage.active(Cut):
            with self._lock:
                if injection not in self._known:
                    self._known.add(injection)
                    self._armed.append(_arm(injection))
        self._wake_up()

    def recv_into(self, buffer: memoryview) -> int:
        """Wait for bytes and return how many came; 0 at the connection's end."""
        while True:
            self._wait_for(select.POLLIN)
            with self._lock, contextlib.suppress(BlockingIOError):
                size = self._allowed("in", len(buffer))
                if size == 0 and self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    self._used = True
                    continue  # to the cut
                count = self._socket.recv_into(buffer[:size], size, socket.MSG_DONTWAIT)
                self._passed("in", count)
                if count == 0 or not self._silent:
                    return count

    def sendall(self, data: bytes) -> None:
        """Send all of `data`; on a silent line it is lost."""
        rest = memoryview(data)
        while rest and not self._silent:
            self._wait_for(select.POLLOUT)
            with self._lock, contextlib.suppress(BlockingIOError):
                if self._silent:
                    return
                size = self._allowed("out", len(rest))
                sent = self._socket.send(rest[:size], socket.MSG_DONTWAIT)
                self._passed("out", sent)
                rest = rest[sent:]
        self._strike_what_is_due()

    def unplug(self, how: str) -> None:
        """Cut the line from any thread: by a `reset` or in `silence`."""
        if how == "silence":
            self._silent = True
        else:
            self._cut = True
        self._wake_up()

    def stop(self) -> None:
        """End the connection in order, unless it was cut; from any thread, more than once."""
        if not self._cut:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._wake_up()

    def close(self) -> None:
        """Give the socket back; only once no thread reads or writes any more."""
        with self._lock:
            self._closed = True
            if self._cut:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._socket.close()
            os.close(self._wake)

    def _wake_up(self) -> None:
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._wake, 1)

    def _wait_for(self, event: int) -> None:
        """Wait until the socket can be read or written; raises ConnectionResetError where it is cut meanwhile.

        Only the reader takes wake-ups away, since it must see new cuts in time. Should it take one that was
        meant for the writer too: it ends the connection by `stop`, which wakes the writer again.
        """
        poller = select.poll()
        poller.register(self._socket, event)
        poller.register(self._wake, select.POLLIN)
        while True:
            self._strike_what_is_due()
            ready = [number for number, _ in poller.poll(self._milliseconds())]
            if self._cut:
                raise ConnectionResetError("cut")
            if self._socket.fileno() in ready:
                return
            if event == select.POLLIN:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)

    def _milliseconds(self) -> float | None:
        """Return how long to wait until a cut is due, None for ever."""
        with self._lock:
            due = min((armed.due for armed in self._armed), default=math.inf)
        return None if math.isinf(due) else max(0.0, math.ceil((due - time.monotonic()) * 1000))

    def _strike_what_is_due(self) -> None:
        now = time.monotonic()
        with self._lock:
            # Who only knocks, to see whether the port is open, is no peer: used is a line once bytes came.
            due = [armed for armed in self._armed if (armed.left <= 0 and self._used) or armed.due <= now]
            self._armed = [armed for armed in self._armed if armed not in due]
        for armed in due:
            if armed.injection.strike():
                self._unplugged(armed.injection)
                self.unplug(armed.injection.fault.how)
        if self._cut:
            raise ConnectionResetError("cut")

    def _allowed(self, direction: str, size: int) -> int:
        """Return how many of `size` bytes may pass before the next cut."""
        return int(min([size, *(armed.left for armed in self._applying(direction))]))

    def _passed(self, direction: str, count: int) -> None:
        self._used = True
        for armed in self._applying(direction):
            armed.left -= count

    def _applying(self, direction: str) -> list[_Armed]:
        return [armed for armed in self._armed if armed.injection.fault.direction in ("both", direction)]


def _arm(injection: Injection[Cut]) -> _Armed:
    cut, now = injection.fault, time.monotonic()
    at_once = cut.bytes is None and cut.seconds is None
    return _Armed(
        injection,
        left=0 if at_once else math.inf if cut.bytes is None else cut.bytes,
        due=math.inf if cut.seconds is None else now + cut.seconds,
    )
