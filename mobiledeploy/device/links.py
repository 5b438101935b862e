"""adb-shell's TCP and USB transports, with what they lack.

adb-shell sends a packet by one call that may take only a part of it, reads an ended TCP connection as
"nothing yet", and allocates whatever length a packet announces. `Link` puts that right around either.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from adb_shell.exceptions import TcpTimeoutException, UsbReadFailedError
from adb_shell.transport.base_transport import BaseTransport
from adb_shell.transport.tcp_transport import TcpTransport

from mobiledeploy.device.transport import ConnectionLostError
from mobiledeploy.errors import DeviceError

MAX_PACKET = 1024 * 1024  # adb.h, MAX_PAYLOAD: no packet may be larger
_USB_SLICE_S = 0.25


class TcpLink(TcpTransport):  # type: ignore[misc]  # adb-shell has no type hints
    """A TCP connection to `host`:`port`."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self._serial = f"{host}:{port}"

    def connect(self, transport_timeout_s: float | None) -> None:
        """Connect; each packet leaves at once, and a peer that vanished is noticed within a minute."""
        super().connect(transport_timeout_s)
        # adb-shell sends header and payload apart: with Nagle's algorithm the second would wait.
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, option):  # not all on macOS
                self._connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        """Return 1 to `numbytes` bytes; raises ConnectionLostError at the connection's end."""
        _check_size(numbytes, self._serial)
        data: bytes = super().bulk_read(numbytes, transport_timeout_s)
        if not data:
            raise ConnectionLostError(self._serial, "it was closed by the device")
        return data

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        """Send all of `data`; adb-shell's own sends what fits into the socket's buffer."""
        rest = memoryview(data)
        while rest:
            rest = rest[super().bulk_write(rest, transport_timeout_s) :]
        return len(data)


class UsbLink(BaseTransport):  # type: ignore[misc]
    """A USB interface of an Android device, through adb-shell's `UsbTransport`."""

    def __init__(self, transport: Any, serial: str) -> None:
        self._transport = transport
        self._serial = serial

    def connect(self, transport_timeout_s: float | None) -> None:
        """Claim the interface; raises DeviceError where another program has it, or we may not."""
        import usb1

        try:
            self._transport.connect(transport_timeout_s)
        except usb1.USBError as error:
            raise DeviceError(
                f"can't open the USB device {self._serial}: {error}",
                hint="Another program may be using it (an adb server, a file manager), or you may not.",
            ) from error

    def close(self) -> None:
        """Release the interface."""
        self._transport.close()

    def bulk_read(self, numbytes: int, transport_timeout_s: float) -> bytes:
        """Return up to `numbytes` bytes.

        Reads in short slices, because Ctrl-C can't interrupt libusb, and keeps what a slice that
        timed out had already received.
        """
        import usb1

        _check_size(numbytes, self._serial)
        deadline = time.monotonic() + transport_timeout_s
        while True:
            try:
                return bytes(self._transport.bulk_read(numbytes, _USB_SLICE_S))
            except UsbReadFailedError as error:
                if not isinstance(error.usb_error, usb1.USBErrorTimeout):
                    raise
                if received := bytes(error.usb_error.received):
                    return received
                if time.monotonic() >= deadline:
                    raise TcpTimeoutException(str(error)) from error

    def bulk_write(self, data: bytes, transport_timeout_s: float) -> int:
        """Send all of `data`."""
        sent = 0
        while sent < len(data):
            sent += self._transport.bulk_write(data[sent:], transport_timeout_s)
        return sent


def _check_size(size: int, serial: str) -> None:
    if size > MAX_PACKET:
        raise DeviceError(f"{serial} announces a packet of {size} bytes, more than ADB allows")
