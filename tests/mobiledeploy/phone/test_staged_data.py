"""Faults of data: a full disk, files that arrive changed, output that is garbled or ends early."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mobiledeploy.device import ConnectionLostError, Device
from mobiledeploy.device.device import FOLDER
from mobiledeploy.errors import DeviceError, DeviceRunError
from mobiledeploy.phone import Corrupt, Full, Truncate, VirtualPhone
from mobiledeploy.phone.spoil import NOISE

OUTPUT = b"0123456789\n"


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def program(device: Device, tmp_path: Path) -> str:
    script = tmp_path / "program"
    script.write_text("#!/bin/sh\necho 0123456789; echo err >&2; exit 7\n")
    return device.store(script, executable=True)


def pushed(phone: VirtualPhone) -> list[Path]:
    return sorted((phone.root / FOLDER.lstrip("/")).glob("*"))


def test_a_full_disk_takes_no_push(phone: VirtualPhone, device: Device, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(os.urandom(1000))
    (tmp_path / "large").write_bytes(os.urandom(500_000))
    with phone.inject(Full(after=200_000)) as full:
        small = device.store(tmp_path / "small")
        with pytest.raises(DeviceError, match="No space left on device"):
            device.store(tmp_path / "large")
        assert full.taken == 200_000
        with pytest.raises(DeviceError, match="No space left on device"):
            device.store(tmp_path / "large")
        assert [path.name for path in pushed(phone)] == [small.rpartition("/")[2]]
    device.store(tmp_path / "large")


def test_google_adb_meets_a_full_disk(adb, phone: VirtualPhone, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(500_000))
    phone.inject(Full())
    completed = adb("push", str(tmp_path / "source"), "/data/local/tmp/f")
    assert completed.returncode == 1
    assert b"No space left on device" in completed.stderr
    assert list((phone.root / "data/local/tmp").iterdir()) == []


def test_a_command_cannot_write_on_a_full_disk(phone: VirtualPhone, device: Device) -> None:
    text = "head -c 3000 /dev/zero >f; echo $?; cat f | wc -c; echo through a pipe"
    with phone.inject(Full(after=1024)):
        completed = device.run(["sh", "-c", text], timeout_s=20)
        assert completed.stdout == b"1\n1024\nthrough a pipe\n"
        assert b"File too large" in completed.stderr
    assert device.run(["sh", "-c", text], timeout_s=20).stdout == b"0\n3000\nthrough a pipe\n"


def test_one_bit_of_a_push_flips(phone: VirtualPhone, device: Device, adb, tmp_path: Path) -> None:
    data = bytes(300_000)
    (tmp_path / "source").write_bytes(data)
    with phone.inject(Corrupt("pushes", after=200_000, count=2)):
        assert adb("push", str(tmp_path / "source"), "/data/local/tmp/f").returncode == 0
        with pytest.raises(DeviceRunError, match="arrived changed"):
            device.store(tmp_path / "source")
        device.store(tmp_path / "source")
    stored = (phone.root / "data/local/tmp/f").read_bytes()
    assert len(stored) == len(data)
    assert [(index, byte) for index, byte in enumerate(stored) if byte] == [(200_000, 1)]
    assert len(pushed(phone)) == 1


def test_short_files_stay_whole(phone: VirtualPhone, device: Device, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(100))
    with phone.inject(Corrupt("pushes", after=100)) as corrupt:
        device.store(tmp_path / "source")
        assert corrupt.struck == 0


def test_noise_in_a_programs_output(phone: VirtualPhone, adb, program: str) -> None:
    with phone.inject(Corrupt("output", after=4, count=1)):
        assert adb("shell", "echo 0123456789").stdout == OUTPUT
        assert adb("shell", program).stdout == OUTPUT[:4] + NOISE + OUTPUT[4:]
        assert adb("shell", program).stdout == OUTPUT


def test_noise_over_the_old_protocol_and_our_own(phone: VirtualPhone, device: Device, program: str) -> None:
    with phone.inject(Corrupt("output", after=len(str(2**22)) + 4)):  # behind the process id in any case
        completed = device.run([program], timeout_s=20)
    assert NOISE in completed.stdout
    assert completed.stdout.replace(NOISE, b"") == OUTPUT
    assert completed.exit_code == 7


def test_an_output_ends_early_but_the_exit_code_comes(phone: VirtualPhone, adb, program: str) -> None:
    with phone.inject(Truncate(bytes=5)):
        completed = adb("shell", program)
        assert (completed.returncode, completed.stdout, completed.stderr) == (7, OUTPUT[:5], b"err\n")
        assert adb("shell", "echo 0123456789").stdout == OUTPUT


def test_a_stream_ends_early(phone: VirtualPhone, device: Device, program: str) -> None:
    with (
        phone.inject(Truncate(bytes=10, end="close")),
        pytest.raises(ConnectionLostError, match="closed the stream"),
    ):
        device.run([program], timeout_s=20)
    assert device.run([program], timeout_s=20).exit_code == 7
