"""Pushing and pulling files over ADB's `sync:`, with the device's own words where it fails.

A message is a four-byte id and a little-endian 32-bit length or number, then that many bytes.
Source: AOSP packages/modules/adb, `SYNC.TXT` and `file_sync_protocol.h`.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import BinaryIO

from mobiledeploy.device.transport import ConnectionLostError, Reader, Transport, deadline_in
from mobiledeploy.errors import DeviceError, UsageError

Progress = Callable[[int, int], None]

_STALL_S = 60.0  # a transfer may take long, but not stand still: flash that is nearly full is slow
_MAX_DATA = 64 * 1024  # SYNC_DATA_MAX
_MAX_PATH = 1024
_BATCH = 4  # messages in one write: a round trip over Wi-Fi for every 64 KiB would halve the speed
_MESSAGE = struct.Struct("<4sI")


class TransferError(DeviceError):
    """The device refused a file, or has none of that name."""


def push(
    transport: Transport, file: BinaryIO, size: int, remote: str, mode: int, progress: Progress | None
) -> None:
    """Write what `file` holds (`size` bytes) to `remote`, with the permission bits `mode`.

    `progress` gets the bytes sent so far and `size`. Raises TransferError with the device's reason,
    ConnectionLostError, or DeadlineError where nothing moves.
    """
    stream = transport.open("sync:", deadline_in(_STALL_S))
    try:
        reader = Reader(stream, transport.serial)
        try:
            stream.write(_request(b"SEND", f"{remote},{0o100000 | mode}"), deadline_in(_STALL_S))
            sent = 0
            while data := file.read(_BATCH * _MAX_DATA):
                stream.write(_in_messages(data), deadline_in(_STALL_S))
                sent += len(data)
                if progress is not None:
                    progress(sent, size)
            stream.write(_MESSAGE.pack(b"DONE", int(time.time())), deadline_in(_STALL_S))
        except ConnectionLostError:
            _check_status(reader, remote)  # the device may have said why before it closed the stream
            raise
        _check_status(reader, remote)
    finally:
        stream.close()


def pull(transport: Transport, remote: str, file: BinaryIO) -> None:
    """Write the content of `remote` into `file`; raises as `push` does."""
    stream = transport.open("sync:", deadline_in(_STALL_S))
    try:
        reader = Reader(stream, transport.serial)
        stream.write(_request(b"RECV", remote), deadline_in(_STALL_S))
        while (data := _next_data(reader, remote)) is not None:
            file.write(data)
    finally:
        stream.close()


def _request(kind: bytes, text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogateescape")
    if len(encoded) > _MAX_PATH or b"\0" in encoded:
        raise UsageError(f"not a usable path on a device: {text[:80]!r}")
    return _MESSAGE.pack(kind, len(encoded)) + encoded


def _in_messages(data: bytes) -> bytes:
    pieces = [data[start : start + _MAX_DATA] for start in range(0, len(data), _MAX_DATA)]
    return b"".join(_MESSAGE.pack(b"DATA", len(piece)) + piece for piece in pieces)


def _check_status(reader: Reader, remote: str) -> None:
    """Read the answer to a push; raises TransferError where it isn't OKAY."""
    kind, size = _MESSAGE.unpack(reader.read_exactly(_MESSAGE.size, deadline_in(_STALL_S)))
    if kind != b"OKAY":
        raise _failure("push to", remote, reader, kind, size)


def _next_data(reader: Reader, remote: str) -> bytes | None:
    """Read a pull's next piece; None at the file's end."""
    kind, size = _MESSAGE.unpack(reader.read_exactly(_MESSAGE.size, deadline_in(_STALL_S)))
    if kind == b"DONE":
        return None
    if kind != b"DATA" or size > _MAX_DATA:
        raise _failure("pull", remote, reader, kind, size)
    return reader.read_exactly(size, deadline_in(_STALL_S))


def _failure(action: str, remote: str, reader: Reader, kind: bytes, size: int) -> TransferError:
    if kind != b"FAIL" or size > _MAX_DATA:
        return TransferError(f"can't {action} {remote}: the device answered {kind!r} with {size} bytes")
    reason = reader.read_exactly(size, deadline_in(_STALL_S)).decode("utf-8", "replace")
    hint = ""
    if "No space left" in reason:
        hint = "Free some space on the device; `mobiledeploy devices --clean` removes what was pushed before."
    return TransferError(f"can't {action} {remote}: {reason}", hint=hint)
