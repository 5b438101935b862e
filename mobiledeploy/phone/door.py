"""The phone's port on loopback: it can refuse connections for a while, and be the same port again afterwards."""

from __future__ import annotations

import contextlib
import socket
import threading

from mobiledeploy.errors import DeviceError, UsageError

HOST = "127.0.0.1"
# An adb server takes whatever listens on these ports for an emulator and connects by itself.
EMULATOR_PORTS = range(5555, 5586)


class Door:
    """A listening socket; 0 as `port` takes a free one.

    Raises DeviceError for a port that is taken, UsageError for one that adb servers take for an emulator's.
    """

    def __init__(self, port: int) -> None:
        self._listener = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._closed = False
        self._shut: tuple[threading.Event, float] | None = None

    def accept(self) -> socket.socket | None:
        """Wait for the next connection, also while the door is shut; None once it is closed."""
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                if not self._reopen():
                    return None
            else:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return accepted

    def shut(self, until: threading.Event, seconds: float) -> None:
        """Refuse connections until `until` is set, but for no longer than `seconds`."""
        with self._lock:
            if self._shut is None:
                self._shut = until, seconds
                self._wake_accept()

    def close(self) -> None:
        """Refuse connections from now on; one who shut the door with an event sets that first."""
        with self._lock:
            self._closed = True
            self._wake_accept()
            self._listener.close()

    def _wake_accept(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # a bare close would leave `accept` waiting

    def _reopen(self) -> bool:
        """Wait for as long as the door is shut, and open it again; False where it is closed."""
        self._listener.close()
        with self._lock:
            if self._closed or self._shut is None:
                return False
            until, seconds = self._shut
        with socket.socket() as placeholder:  # it refuses, and keeps the port from being given away
            placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            placeholder.bind((HOST, self.port))
            until.wait(min(seconds, threading.TIMEOUT_MAX))
            with self._lock:
                if self._closed:
                    return False
                self._listener = socket.create_server((HOST, self.port))
                self._shut = None
        return True


def _listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback; 0 is any free port but those of emulators."""
    if port in EMULATOR_PORTS:
        raise UsageError(
            f"port {port} is one that adb servers take for an emulator's",
            hint=f"Choose one outside {EMULATOR_PORTS[0]}-{EMULATOR_PORTS[-1]}.",
        )
    while True:
        try:
            listener = socket.create_server((HOST, port))
        except (OSError, OverflowError) as error:
            raise DeviceError(f"the virtual phone can't listen on {HOST}:{port}: {error}") from error
        if listener.getsockname()[1] not in EMULATOR_PORTS:
            return listener
        listener.close()
