"""What `UsbLink` makes of libusb's time-outs; there is no USB device in a test, so libusb's part is scripted."""

from __future__ import annotations

import pytest

pytest.importorskip("usb1")

import usb1
from adb_shell.exceptions import TcpTimeoutException, UsbReadFailedError

from mobiledeploy.device.links import UsbLink
from mobiledeploy.errors import DeviceError


class ScriptedUsb:
    """In adb-shell's `UsbTransport`'s place: gives what is scripted, takes at most 100 bytes a write."""

    def __init__(self, *reads: bytes | Exception) -> None:
        self.reads = list(reads)
        self.written = b""

    def bulk_read(self, numbytes: int, transport_timeout_s: float) -> bytearray:
        read = self.reads.pop(0) if self.reads else timed_out(b"")
        if isinstance(read, Exception):
            raise read
        return bytearray(read[:numbytes])

    def bulk_write(self, data: bytes, transport_timeout_s: float) -> int:
        self.written += data[:100]
        return min(len(data), 100)

    def connect(self, transport_timeout_s: float | None) -> None:
        raise usb1.USBErrorBusy


def timed_out(received: bytes) -> UsbReadFailedError:
    error = usb1.USBErrorTimeout()
    error.received = received
    return UsbReadFailedError("timed out", error)


def test_reading_goes_on_over_short_slices() -> None:
    link = UsbLink(ScriptedUsb(timed_out(b""), timed_out(b""), b"data"), "S1")
    assert link.bulk_read(24, 60) == b"data"


def test_what_a_slice_had_received_is_kept() -> None:
    link = UsbLink(ScriptedUsb(timed_out(b"first"), b"rest"), "S1")
    assert [link.bulk_read(24, 60), link.bulk_read(24, 60)] == [b"first", b"rest"]


def test_the_deadline_holds_over_all_slices() -> None:
    with pytest.raises(TcpTimeoutException):
        UsbLink(ScriptedUsb(), "S1").bulk_read(24, 0.1)


def test_an_unplugged_device_is_not_waited_for() -> None:
    gone = UsbReadFailedError("gone", usb1.USBErrorNoDevice())
    with pytest.raises(UsbReadFailedError):
        UsbLink(ScriptedUsb(gone), "S1").bulk_read(24, 60)


def test_all_is_written() -> None:
    usb = ScriptedUsb()
    assert UsbLink(usb, "S1").bulk_write(bytes(250), 60) == 250
    assert usb.written == bytes(250)


def test_no_more_is_read_than_a_packet_can_hold() -> None:
    with pytest.raises(DeviceError, match="more than ADB allows"):
        UsbLink(ScriptedUsb(b"x"), "S1").bulk_read(1 << 30, 60)


def test_an_interface_that_another_program_has() -> None:
    with pytest.raises(DeviceError, match="can't open the USB device S1") as raised:
        UsbLink(ScriptedUsb(), "S1").connect(10)
    assert "adb server" in raised.value.hint
