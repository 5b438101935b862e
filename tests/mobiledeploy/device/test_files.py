"""What a device may answer to a transfer that no virtual phone does: its part is scripted."""

from __future__ import annotations

import io
import struct

import pytest

from mobiledeploy.device.files import TransferError, pull, push
from mobiledeploy.device.transport import ConnectionLostError, Kind
from mobiledeploy.errors import DeviceError


class ScriptedDevice:
    """A transport whose only stream takes `capacity` bytes, says `answer`, and then is closed."""

    serial = "S1"
    kind: Kind = "usb"

    def __init__(self, answer: bytes, capacity: int = 1 << 30) -> None:
        self.answer = [answer]
        self.capacity = capacity
        self.closed = False

    def open(self, service: str, deadline: float) -> ScriptedDevice:
        assert service == "sync:"
        return self

    def write(self, data: bytes, deadline: float) -> None:
        self.capacity -= len(data)
        if self.capacity < 0:
            raise ConnectionLostError(self.serial, "the device closed the stream")

    def read(self, deadline: float) -> bytes:
        return self.answer.pop(0) if self.answer else b""

    def close(self) -> None:
        self.closed = True


def message(kind: bytes, text: bytes) -> bytes:
    return kind + struct.pack("<I", len(text)) + text


def pushed_to(device: ScriptedDevice) -> None:
    data = bytes(1_000_000)
    push(device, io.BytesIO(data), len(data), "/data/local/tmp/x", 0o644, None)


def test_a_full_device_says_so_and_what_helps() -> None:
    device = ScriptedDevice(message(b"FAIL", b"write failed: No space left on device"))
    with pytest.raises(TransferError, match="No space left on device") as raised:
        pushed_to(device)
    assert "--clean" in raised.value.hint
    assert device.closed


def test_the_reason_is_read_even_where_the_device_closes_the_stream_early() -> None:
    device = ScriptedDevice(
        message(b"FAIL", b"couldn't create file: Read-only file system"), capacity=300_000
    )
    with pytest.raises(TransferError, match="Read-only file system"):
        pushed_to(device)


def test_a_stream_that_closes_without_a_word_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLostError):
        pushed_to(ScriptedDevice(b"", capacity=300_000))


@pytest.mark.parametrize("answer", [b"WHAT\0\0\0\0", b"FAIL\xff\xff\xff\xff", b"DATA\0\0\0\x10", b"OK"])
def test_nonsense_is_an_error_and_nothing_big_is_read(answer: bytes) -> None:
    with pytest.raises(DeviceError):
        pushed_to(ScriptedDevice(answer))
    with pytest.raises(DeviceError):
        pull(ScriptedDevice(answer), "/data/local/tmp/x", io.BytesIO())
