"""What a way to a device must offer: opening ADB's services as streams of bytes.

Times are deadlines on `time.monotonic`, so that a limit holds over many small steps.
"""

from __future__ import annotations

import time
from typing import Literal, Protocol

from mobiledeploy.errors import DeviceError, TimedOutError

Kind = Literal["usb", "tcp"]

# What a step may take that needs no work on the device: a packet's way there and back.
STEP_S = 20.0


class ConnectionLostError(DeviceError):
    """The connection to the device ended while it was in use."""

    def __init__(self, serial: str, detail: str = "") -> None:
        message = f"the connection to {serial} was lost" + (f": {detail}" if detail else "")
        super().__init__(message, hint="Check the cable or the network, then run the command again.")


class DeadlineError(TimedOutError):
    """A deadline passed while waiting for the device."""

    def __init__(self, serial: str) -> None:
        super().__init__(
            f"{serial} did not answer in time",
            hint="See whether the device is awake and connected, then run the command again.",
        )


class SilenceError(DeadlineError):
    """A running command said nothing for longer than it may."""


class ByteStream(Protocol):
    """One opened service. All methods raise ConnectionLostError and DeadlineError."""

    def read(self, deadline: float) -> bytes:
        """Return the next bytes, at least one; empty once the device has closed the stream."""

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of `data`; raises ConnectionLostError where the device has closed the stream."""

    def close(self) -> None:
        """Close the stream; never fails."""


class Transport(Protocol):
    """A connection over which services are opened, one after the other or a few at once."""

    serial: str
    kind: Kind

    def open(self, service: str, deadline: float) -> ByteStream:
        """Open a service such as `sync:`; raises DeviceError where the device refuses it."""

    def close(self) -> None:
        """End the connection; never fails."""


def deadline_in(seconds: float) -> float:
    """Return the moment on `time.monotonic` that lies so far ahead."""
    return time.monotonic() + seconds


def remaining(deadline: float, serial: str) -> float:
    """Return the seconds left until `deadline`; raises DeadlineError where none are."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineError(serial)
    return left


class Reader:
    """Reads a stream in pieces of a known size."""

    def __init__(self, stream: ByteStream, serial: str) -> None:
        self._stream = stream
        self._serial = serial
        self._buffer = bytearray()

    def read_exactly(self, size: int, deadline: float) -> bytes:
        """Return the next `size` bytes; raises ConnectionLostError where the stream ends before them."""
        while len(self._buffer) < size:
            data = self._stream.read(deadline)
            if not data:
                raise ConnectionLostError(self._serial, "the device closed the stream")
            self._buffer += data
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece
