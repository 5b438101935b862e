"""Which devices there are, and what stands in the way of using one."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from adb_shell.adb_message import AdbMessage
from adb_shell.auth.keygen import keygen

from mobiledeploy.device import DeviceSummary, list_devices, open_device
from mobiledeploy.device.discovery import parse_address
from mobiledeploy.device.registry import RegisteredPhone, registered, registered_phones
from mobiledeploy.errors import DeviceError
from mobiledeploy.phone import VirtualPhone


def test_no_device() -> None:
    assert list_devices() == []
    with pytest.raises(DeviceError, match="no device found") as raised:
        open_device()
    assert raised.value.exit_code == 3
    assert "mobiledeploy phone" in raised.value.hint


def test_the_only_device_is_taken(phone: VirtualPhone) -> None:
    with registered(RegisteredPhone(phone.port, phone.identity.model)):
        assert list_devices() == [DeviceSummary(phone.serial, "tcp", "device", phone.identity.model)]
        with open_device() as device:
            assert device.facts.serial == phone.serial
    assert list_devices() == []


def test_of_several_one_has_to_be_chosen(phone: VirtualPhone, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        VirtualPhone() as other,
        registered(RegisteredPhone(phone.port, "one")),
        registered(RegisteredPhone(other.port, "two")),
    ):
        with pytest.raises(DeviceError, match="2 devices and no choice") as raised:
            open_device()
        assert f"{phone.serial}  device  one" in raised.value.hint
        assert f"{other.serial}  device  two" in raised.value.hint
        monkeypatch.setenv("ANDROID_SERIAL", other.serial)
        with open_device() as device:
            assert device.facts.serial == other.serial
        with open_device(phone.serial) as device:
            assert device.facts.serial == phone.serial


def test_a_servers_device_is_listed_once(served_phone: VirtualPhone) -> None:
    with registered(RegisteredPhone(served_phone.port, "again")):
        (summary,) = list_devices()
    assert (summary.serial, summary.transport, summary.state) == (served_phone.serial, "server", "device")


def test_a_server_tells_the_state(served_phone: VirtualPhone, adb_server: Callable[..., object]) -> None:
    with VirtualPhone(authorization="none") as stranger:
        adb_server("connect", stranger.serial)
        states = {summary.serial: summary.state for summary in list_devices()}
        assert states == {served_phone.serial: "device", stranger.serial: "unauthorized"}
        with pytest.raises(DeviceError, match="unauthorized"):
            open_device(stranger.serial)
        adb_server("disconnect", stranger.serial)


def test_no_server_is_ever_started() -> None:
    port = int(os.environ["ANDROID_ADB_SERVER_PORT"])
    list_devices()
    with pytest.raises(DeviceError):
        open_device("127.0.0.1:1")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


class TestUnusable:
    def test_a_phone_that_never_accepts(self) -> None:
        with (
            VirtualPhone(authorization="none") as phone,
            pytest.raises(DeviceError, match="unauthorized") as raised,
        ):
            open_device(phone.serial, authorization_timeout_s=0.3)
        assert "accept the question on its screen" in raised.value.hint

    def test_a_phone_that_trusts_another_key(self, tmp_path: Path) -> None:
        keygen(str(tmp_path / "other"))
        with VirtualPhone(authorization=[(tmp_path / "other.pub").read_text()]) as phone:
            with pytest.raises(DeviceError, match="unauthorized"):
                open_device(phone.serial, authorization_timeout_s=0.3)
            os.environ["ADB_VENDOR_KEYS"] = str(tmp_path / "other")
            try:
                open_device(phone.serial, authorization_timeout_s=0.3).close()
            finally:
                del os.environ["ADB_VENDOR_KEYS"]

    def test_nothing_listens(self) -> None:
        with pytest.raises(DeviceError, match=r"can't connect to 127\.0\.0\.1:1: Connection refused"):
            open_device("127.0.0.1:1")

    def test_no_such_host(self) -> None:
        with pytest.raises(DeviceError, match=r"can't connect to no-such-host\.invalid:5555"):
            open_device("no-such-host.invalid:5555")

    def test_no_such_usb_device(self) -> None:
        with pytest.raises(DeviceError, match="no device with the serial 'HT4711'"):
            open_device("HT4711")

    def test_something_else_listens(self) -> None:
        answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        with answering(answer) as serial, pytest.raises(DeviceError, match="not as an ADB device"):
            open_device(serial)

    def test_a_wireless_debugging_port_wants_pairing(self) -> None:
        packet = struct.pack("<4s5I", b"STLS", 0x01000000, 0, 0, 0, 0xACB3ABAC)
        with (
            answering(packet) as serial,
            pytest.raises(DeviceError, match="wireless debugging port") as raised,
        ):
            open_device(serial)
        assert "adb pair" in raised.value.hint

    def test_a_packet_of_4_gib_is_not_read(self) -> None:
        packet = bytearray(AdbMessage(b"CNXN", 0x01000000, 4096, b"x").pack())
        packet[12:16] = b"\xff\xff\xff\xff"
        with answering(bytes(packet)) as serial, pytest.raises(DeviceError, match="more than ADB allows"):
            open_device(serial)

    def test_it_closes_at_once(self) -> None:
        with answering(b"", close=True) as serial, pytest.raises(DeviceError, match=r"can't connect|lost"):
            open_device(serial)


@contextlib.contextmanager
def answering(data: bytes, *, close: bool = False) -> Iterator[str]:
    """Listen, and answer whoever connects with `data`."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(24)
                connection.sendall(data)
                if not close:
                    done.wait(30)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("serial", "address"),
    [
        ("192.168.1.5:5555", ("192.168.1.5", 5555)),
        ("phone.local:40000", ("phone.local", 40000)),
        ("[::1]:5555", ("::1", 5555)),
        ("emulator-5554", None),
        ("0123456789ABCDEF", None),
        ("host:0", None),
        ("host:65536", None),
        ("host:", None),
        (":5555", None),
        ("host:٤٢", None),
    ],
)
def test_addresses(serial: str, address: tuple[str, int] | None) -> None:
    assert parse_address(serial) == address


class TestRegistry:
    @pytest.fixture
    def folder(self) -> Path:
        folder = Path(os.environ["MOBILEDEPLOY_CACHE"], "phones")
        folder.mkdir(parents=True)
        return folder

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", '{"port": "x"}', '{"port": 99999, "pid": 1, "model": ""}']
    )
    def test_entries_that_are_none_are_removed(self, folder: Path, text: str) -> None:
        (folder / "1.json").write_text(text)
        assert registered_phones() == []
        assert list(folder.iterdir()) == []

    def test_an_ended_phone_is_removed(self, folder: Path, phone: VirtualPhone) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        entry = folder / "1.json"
        entry.write_text(f'{{"port": {phone.port}, "pid": {ended.pid}, "model": "ended"}}')
        assert registered_phones() == []
        assert not entry.exists()

    def test_one_that_refuses_connections_for_a_while_is_kept(self, folder: Path) -> None:
        entry = folder / "1.json"
        entry.write_text(f'{{"port": 1, "pid": {os.getpid()}, "model": "deaf"}}')
        assert registered_phones() == []
        assert entry.exists()
