"""ADB's packets as they stand on the wire.

A packet is a header of six little-endian 32-bit words (command, arg0, arg1, payload length, payload
checksum, command with its bits flipped) and the payload.
Source: AOSP packages/modules/adb, `protocol.txt` and `adb.h`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Protocol

CNXN = b"CNXN"
AUTH = b"AUTH"
OPEN = b"OPEN"
OKAY = b"OKAY"
CLSE = b"CLSE"
WRTE = b"WRTE"
COMMANDS = frozenset({CNXN, AUTH, OPEN, OKAY, CLSE, WRTE})

# adb.h: A_VERSION_MIN and A_VERSION_SKIP_CHECKSUM, from which on checksums are neither made nor read.
VERSION_CHECKSUM = 0x01000000
VERSION_NO_CHECKSUM = 0x01000001

# adb.h: MAX_PAYLOAD_V1, which any peer can take before the sizes are negotiated, and MAX_PAYLOAD.
MAX_PAYLOAD_V1 = 4 * 1024
MAX_PAYLOAD = 1024 * 1024

AUTH_TOKEN = 1
AUTH_SIGNATURE = 2
AUTH_PUBLIC_KEY = 3

_HEADER = struct.Struct("<4s5I")


class ProtocolError(Exception):
    """The peer sent what is no ADB packet, or one that breaks the protocol's rules."""


@dataclass(frozen=True)
class Packet:
    """One packet; what `arg0` and `arg1` mean depends on the command (protocol.txt)."""

    command: bytes
    arg0: int
    arg1: int
    payload: bytes = b""

    def encode(self, *, checksum: bool) -> bytes:
        """Return the packet's bytes; without `checksum` that field is 0, as newer peers send it."""
        magic = int.from_bytes(self.command, "little") ^ 0xFFFFFFFF
        total = sum(self.payload) & 0xFFFFFFFF if checksum else 0
        return (
            _HEADER.pack(self.command, self.arg0, self.arg1, len(self.payload), total, magic) + self.payload
        )


class Source(Protocol):
    """What packets are read from: a socket, or a `Line` around one."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Wait for bytes and return how many came; 0 at the end."""


def receive(connection: Source, *, max_payload: int, checksum: bool) -> Packet | None:
    """Read one packet; None where the peer closed the connection between two packets.

    Raises ProtocolError for an unknown command, a length above `max_payload`, a wrong magic, a
    connection that ends within the packet and, with `checksum`, for a payload that doesn't sum up.
    A CNXN that announces a version without checksums is not summed either.
    """
    header = _receive_exactly(connection, _HEADER.size)
    if header is None:
        return None
    command, arg0, arg1, length, expected, magic = _HEADER.unpack(header)
    if command not in COMMANDS or magic != int.from_bytes(command, "little") ^ 0xFFFFFFFF:
        raise ProtocolError(f"not an ADB packet: {header!r}")
    if length > max_payload:
        raise ProtocolError(f"{command!r} with {length} bytes where {max_payload} are allowed")
    payload = _receive_exactly(connection, length)
    if payload is None:
        raise ProtocolError("the connection ended before a payload")
    if command == CNXN and arg0 >= VERSION_NO_CHECKSUM:
        checksum = False
    if checksum and sum(payload) & 0xFFFFFFFF != expected:
        raise ProtocolError(f"{command!r} with a wrong checksum")
    return Packet(command, arg0, arg1, payload)


def _receive_exactly(connection: Source, size: int) -> bytes | None:
    """Read `size` bytes; None where the connection ends before the first of them."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    received = 0
    while received < size:
        count = connection.recv_into(view[received:])
        if count == 0:
            if received:
                raise ProtocolError("the connection ended within a packet")
            return None
        received += count
    return bytes(buffer)
