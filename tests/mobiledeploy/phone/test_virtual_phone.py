from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from adb_shell.adb_device import AdbDeviceTcp
from adb_shell.auth.sign_cryptography import CryptographySigner

from mobiledeploy.errors import DeviceError, UsageError
from mobiledeploy.phone import VirtualPhone
from mobiledeploy.phone.identity import EMULATED_CPUS

needs_arm64_emulator = pytest.mark.skipif(
    not (shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")),
    reason="qemu-aarch64 is not installed",
)


@pytest.fixture
def connect(key_home: Path) -> Callable[[VirtualPhone], AdbDeviceTcp]:
    def connect(phone: VirtualPhone) -> AdbDeviceTcp:
        client = AdbDeviceTcp("127.0.0.1", phone.port)
        client.connect([CryptographySigner(str(key_home / ".android/adbkey"))])
        return client

    return connect


Connect = Callable[[VirtualPhone], AdbDeviceTcp]


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def started(client: AdbDeviceTcp, text: str) -> int:
    """Start a command that first prints a process id, and return that."""
    return int(next(iter(client.streaming_shell(text))))


def test_it_listens_on_loopback_only(phone: VirtualPhone) -> None:
    assert phone.serial.startswith("127.0.0.1:")
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", phone.port))


def test_nothing_is_left_when_it_stops(connect: Connect) -> None:
    with VirtualPhone() as phone:
        root = phone.root
        pid = started(connect(phone), "trap '' HUP TERM; echo $$; sleep 300; sleep 300")
        assert is_running(pid)
    assert not is_running(pid)
    assert not root.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", phone.port))


def test_a_given_folder_is_kept(tmp_path: Path, connect: Connect) -> None:
    with VirtualPhone(tmp_path / "phone") as phone:
        connect(phone).shell("echo kept > /data/local/tmp/file")
    assert (tmp_path / "phone/data/local/tmp/file").read_text() == "kept\n"


def test_a_peer_that_leaves_hangs_its_command_up(phone: VirtualPhone, connect: Connect) -> None:
    client = connect(phone)
    pid = started(client, "echo $$; exec sleep 300")
    client.close()
    assert eventually(lambda: not is_running(pid))


def test_it_hangs_commands_up_under_nohup_too(phone: VirtualPhone, connect: Connect) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        client = connect(phone)
        pid = started(client, "echo $$; exec sleep 300")
        client.close()
        assert eventually(lambda: not is_running(pid))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_background_processes_end_with_their_shell(phone: VirtualPhone, connect: Connect) -> None:
    pid = int(connect(phone).shell("sleep 300 & echo $!"))
    assert eventually(lambda: not is_running(pid))


def test_two_computers_at_once(phone: VirtualPhone, connect: Connect) -> None:
    first, second = connect(phone), connect(phone)
    first.shell("echo shared > /data/local/tmp/file")
    assert second.shell("cat /data/local/tmp/file") == "shared\n"
    first.close()
    assert second.shell("echo still") == "still\n"


def test_ports_that_cannot_be_had(phone: VirtualPhone) -> None:
    with pytest.raises(DeviceError, match="can't listen"), VirtualPhone(port=phone.port):
        pass
    with pytest.raises(UsageError, match="emulator"), VirtualPhone(port=5555):
        pass


def test_what_cannot_be_emulated_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="no emulated CPU 'cortex-z1'") as raised:
        VirtualPhone(cpu="cortex-z1")
    assert "cortex-a76" in raised.value.hint
    with pytest.raises(DeviceError, match="can't be emulated"):
        VirtualPhone(abi="mips")
    with pytest.raises(DeviceError, match="no emulated CPU 'cortex-a15' for arm64-v8a"):
        VirtualPhone(abi="arm64-v8a", cpu="cortex-a15")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DeviceError, match="needs qemu-aarch64") as raised:
        VirtualPhone(cpu="cortex-a53")
    assert "qemu-user" in raised.value.hint
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DeviceError, match="runs Linux programs"):
        VirtualPhone()


def test_authorization_is_one_of_its_forms() -> None:
    with pytest.raises(ValueError, match="authorization is"):
        VirtualPhone(authorization="all")
    with pytest.raises(ValueError, match="public key"):
        VirtualPhone(authorization=["AAAA user@host"])


def arm64_program() -> bytes:
    """An aarch64 ELF that writes "arm64" and exits with 7, from the instruction encodings of ARM's manual."""
    code = struct.pack(
        "<8I",
        0xD2800020,  # mov x0, #1
        0x100000E1,  # adr x1, #28: the text behind the code
        0xD28000C2,  # mov x2, #6
        0xD2800808,  # mov x8, #64 (write)
        0xD4000001,  # svc #0
        0xD28000E0,  # mov x0, #7
        0xD2800BA8,  # mov x8, #93 (exit)
        0xD4000001,  # svc #0
    )
    body = code + b"arm64\n"
    base, start = 0x400000, 64 + 56
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 183, 1, base + start, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, start + len(body), start + len(body), 0x10000)
    return header + segment + body


@needs_arm64_emulator
@pytest.mark.parametrize("cpu", [name for name, cpu in EMULATED_CPUS.items() if cpu.abi == "arm64-v8a"])
def test_an_emulated_phone_runs_arm64_programs(connect: Connect, cpu: str) -> None:
    with VirtualPhone(abi="arm64-v8a", cpu=cpu) as phone:
        client = connect(phone)
        program = phone.root / "data/local/tmp/p"
        program.write_bytes(arm64_program())
        program.chmod(0o755)
        assert (
            client.shell("/data/local/tmp/p; echo $?; cd /data/local/tmp && exec ./p") == "arm64\n7\narm64\n"
        )
        assert client.shell("getprop ro.product.cpu.abi") == "arm64-v8a\n"
        assert EMULATED_CPUS[cpu].part in client.shell("cat /proc/cpuinfo")
        assert client.shell("cd /sys/devices/system/cpu/cpu0; ls; cat cache/index0/size") == "cache\n512K\n"
        program.chmod(0o644)
        assert "Permission denied" in client.shell("/data/local/tmp/p")


@needs_arm64_emulator
def test_an_emulated_phone_refuses_this_computers_programs(connect: Connect) -> None:
    with VirtualPhone(cpu="cortex-a53") as phone:
        shutil.copy(os.path.realpath("/bin/true"), phone.root / "data/local/tmp/p")
        assert "another CPU than arm64-v8a" in connect(phone).shell("/data/local/tmp/p")
