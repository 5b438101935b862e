"""Faults of the connection, as clients see them: unplugged, unauthorized, offline, slow."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

import pytest
from adb_shell.adb_device import AdbDeviceTcp
from adb_shell.adb_message import AdbMessage
from adb_shell.auth.sign_cryptography import CryptographySigner
from adb_shell.exceptions import TcpTimeoutException

from mobiledeploy.device import ConnectionLostError, Device, direct, open_device
from mobiledeploy.device.device import FOLDER
from mobiledeploy.errors import DeviceError, TimedOutError
from mobiledeploy.phone import Cut, Offline, RefuseKeys, Slow, VirtualPhone

CNXN = AdbMessage(b"CNXN", 0x01000000, 1 << 20, b"host::test\0")
AUTH_BYTES = 24 + 20  # what the phone answers first: a header and a token


pytestmark = pytest.mark.usefixtures("own_cache")


def greeted(phone: VirtualPhone) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", phone.port), timeout=20)
    peer.sendall(CNXN.pack() + CNXN.data)
    return peer


def received(peer: socket.socket) -> tuple[int, str]:
    """Read to the end; return how many bytes came, and how it ended."""
    count = 0
    with peer:
        try:
            while data := peer.recv(4096):
                count += len(data)
        except ConnectionResetError:
            return count, "reset"
        except TimeoutError:
            return count, "silence"
    return count, "end"


def is_alive(device: Device) -> bool:
    return device.run(["echo", "alive"], timeout_s=20).stdout == b"alive\n"


def eventually_gone(text: str) -> bool:
    """Wait until no process has `text` in its command line."""
    deadline = time.monotonic() + 20
    while (found := _has_process(text)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not found


def _has_process(text: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text in path.read_bytes().decode(errors="replace"):
                return True
    return False


@pytest.mark.parametrize("count", [0, 1, 30, AUTH_BYTES])
def test_exactly_so_many_bytes_come_out(phone: VirtualPhone, count: int) -> None:
    phone.inject(Cut(bytes=count, direction="out"))
    assert received(greeted(phone)) == (count, "reset")


@pytest.mark.parametrize("count", [1, 24, len(CNXN.pack() + CNXN.data)])
def test_a_cut_on_the_way_in(phone: VirtualPhone, count: int) -> None:
    cut = phone.inject(Cut(bytes=count, direction="in"))
    assert received(greeted(phone))[1] == "reset"
    assert cut.struck == 1


@pytest.mark.parametrize("direction", ["in", "out", "both"])
def test_who_only_knocks_is_not_cut(phone: VirtualPhone, direction: str) -> None:
    cut = phone.inject(Cut(bytes=0, direction=direction))
    assert received(socket.create_connection(("127.0.0.1", phone.port), timeout=0.1)) == (0, "silence")
    with pytest.raises(DeviceError):
        open_device(phone.serial)
    assert cut.struck == 1
    with open_device(phone.serial) as device:
        assert is_alive(device)


def test_so_many_connections_suffer(phone: VirtualPhone) -> None:
    cut = phone.inject(Cut(bytes=10, direction="out", count=2))
    assert [received(greeted(phone))[0] for _ in range(2)] == [10, 10]
    with open_device(phone.serial) as device:
        assert is_alive(device)
    assert cut.struck == 2


@pytest.mark.parametrize("direction", ["in", "out", "both"])
def test_after_a_cut_at_any_moment_the_device_works_and_nothing_is_left(
    phone: VirtualPhone, tmp_path: Path, direction: str
) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\necho done\n" + b"#" * 100_000)

    def work(device: Device) -> bytes:
        remote = device.store(program, executable=True)
        with device.scratch() as folder:
            return device.run([remote, folder], timeout_s=20).stdout

    sizes = (1, 23, 60, 200, 333, 700, 1500, 50_000, 101_000, 102_500)
    struck = 0
    for size in sizes:
        with open_device(phone.serial) as device:
            cut = phone.inject(Cut(bytes=size, direction=direction))
            with contextlib.suppress(DeviceError):
                work(device)
            cut.heal()
            struck += cut.struck
            assert work(device) == b"done\n"
            device.clean()
    assert struck >= 6
    assert eventually_gone(str(phone.root))
    assert not (phone.root / FOLDER.lstrip("/")).exists()


def test_unplugged_while_a_program_runs(phone: VirtualPhone) -> None:
    with (
        open_device(phone.serial) as device,
        phone.inject(Cut(seconds=0.2)),
        pytest.raises(ConnectionLostError),
    ):
        device.run(["sleep", "299.25"], timeout_s=60)
    assert eventually_gone("299.25")


def test_a_cut_now(phone: VirtualPhone) -> None:
    with open_device(phone.serial) as device:
        assert is_alive(device)
        phone.inject(Cut())
        with pytest.raises(ConnectionLostError):
            is_alive(device)
        assert is_alive(device)


def test_silence_makes_a_client_wait(phone: VirtualPhone) -> None:
    with open_device(phone.serial) as device:
        with phone.inject(Cut(bytes=0, how="silence")) as cut, pytest.raises(TimedOutError):
            device.run(["true"], timeout_s=0.3)
        assert cut.struck == 1
        assert is_alive(device)


def test_a_healed_cut_does_not_happen(phone: VirtualPhone) -> None:
    with open_device(phone.serial) as device:
        with phone.inject(Cut(bytes=100_000)) as cut:
            assert is_alive(device)
        device.run(["head", "-c", "200000", "/dev/zero"], timeout_s=20)
        assert cut.struck == 0


def test_a_daemon_that_restarts_comes_back_on_its_port(phone: VirtualPhone) -> None:
    with open_device(phone.serial) as device, open_device(phone.serial) as other:
        phone.inject(Cut(down=0.3))
        with pytest.raises(ConnectionLostError):
            is_alive(device)
        with pytest.raises(DeviceError, match="can't connect"):
            is_alive(device)
        with pytest.raises(DeviceError):  # all connections end
            is_alive(other)
        time.sleep(0.5)
        assert is_alive(device)
        assert is_alive(other)


def test_unplugged_for_good(phone: VirtualPhone) -> None:
    with open_device(phone.serial) as device:
        phone.inject(Cut(down=float("inf")))
        with pytest.raises(ConnectionLostError):
            is_alive(device)
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", phone.port))
        phone.heal()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(DeviceError):
                assert is_alive(device)
                return
    pytest.fail("it did not come back")


def test_a_phone_that_is_gone_can_be_stopped() -> None:
    with VirtualPhone(faults=[Cut(down=float("inf"))]) as phone, pytest.raises(DeviceError):
        open_device(phone.serial)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", phone.port))


def test_google_adb_is_cut_and_connects_again(adb_server, phone: VirtualPhone, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(3_000_000))
    adb_server("connect", phone.serial)
    phone.inject(Cut(bytes=1_000_000, direction="in"))
    completed = adb_server("-s", phone.serial, "push", str(tmp_path / "source"), "/data/local/tmp/f")
    assert completed.returncode != 0
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        adb_server("connect", phone.serial)
        if adb_server("-s", phone.serial, "shell", "ls /data/local/tmp").returncode == 0:
            break
    assert list((phone.root / "data/local/tmp").iterdir()) == []
    adb_server("disconnect", phone.serial)


def test_keys_are_refused(phone: VirtualPhone) -> None:
    with phone.inject(RefuseKeys()) as refused:
        with pytest.raises(DeviceError, match="unauthorized"):
            open_device(phone.serial, authorization_timeout_s=0.3)
        assert refused.struck == 1
    with open_device(phone.serial) as device:
        assert is_alive(device)


def test_google_adb_is_unauthorized(adb_server, phone: VirtualPhone) -> None:
    phone.inject(RefuseKeys())
    adb_server("connect", phone.serial)
    assert f"{phone.serial}\tunauthorized".encode() in adb_server("devices").stdout
    adb_server("disconnect", phone.serial)


def test_no_answer_to_a_greeting(
    phone: VirtualPhone, key_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone.inject(Offline(count=2))
    client = AdbDeviceTcp("127.0.0.1", phone.port)
    with pytest.raises(TcpTimeoutException):
        client.connect(
            [CryptographySigner(str(key_home / ".android/adbkey"))],
            read_timeout_s=0.3,
            transport_timeout_s=0.3,
        )
    client.close()
    monkeypatch.setattr(direct, "_CONNECT_S", 0.3)
    with pytest.raises(DeviceError, match="does not answer"):
        open_device(phone.serial)
    with open_device(phone.serial) as device:
        assert is_alive(device)


def test_no_answer_to_a_request(phone: VirtualPhone) -> None:
    with open_device(phone.serial) as device:
        with phone.inject(Offline("open", count=1)), pytest.raises(TimedOutError):
            device.run(["true"], timeout_s=0.3)
        assert is_alive(device)


def test_answers_come_late(phone: VirtualPhone) -> None:
    with open_device(phone.serial) as device:
        with phone.inject(Slow(ms=100)):
            begun = time.monotonic()
            assert is_alive(device)
            assert time.monotonic() - begun > 0.3  # at the least OKAY, output and exit code
        with phone.inject(Slow(ms=1000)), pytest.raises(TimedOutError):
            device.run(["true"], timeout_s=0.3)
