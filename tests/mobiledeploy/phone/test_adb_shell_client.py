"""The virtual phone as adb-shell sees it: the old protocol, with checksums and without features."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from adb_shell.adb_device import AdbDeviceTcp
from adb_shell.auth.sign_cryptography import CryptographySigner
from adb_shell.exceptions import AdbCommandFailureException, DeviceAuthError, TcpTimeoutException

from mobiledeploy.phone import VirtualPhone


@pytest.fixture
def signer(key_home: Path) -> CryptographySigner:
    return CryptographySigner(str(key_home / ".android/adbkey"))


@pytest.fixture
def client(phone: VirtualPhone, signer: CryptographySigner) -> Iterator[AdbDeviceTcp]:
    client = AdbDeviceTcp("127.0.0.1", phone.port)
    client.connect([signer])
    yield client
    client.close()


def test_shell_mixes_stderr_into_stdout(client: AdbDeviceTcp) -> None:
    assert client.shell("echo out; echo err >&2; false; echo rc=$?") == "out\nerr\nrc=1\n"


def test_exec_is_binary_clean(client: AdbDeviceTcp, phone: VirtualPhone) -> None:
    data = bytes(range(256)) * 1000
    (phone.root / "data/local/tmp/bytes").write_bytes(data)
    assert client.exec_out("cat /data/local/tmp/bytes", decode=False) == data


def test_push_pull_stat_and_list(client: AdbDeviceTcp, tmp_path: Path) -> None:
    data = os.urandom(5_000_000)
    client.push(io.BytesIO(data), "/data/local/tmp/f", mtime=1_600_000_000)
    assert client.stat("/data/local/tmp/f")[1:] == (len(data), 1_600_000_000)
    assert [bytes(entry.filename) for entry in client.list("/data/local/tmp")] == [b".", b"..", b"f"]
    client.pull("/data/local/tmp/f", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data


def test_missing_files(client: AdbDeviceTcp) -> None:
    assert client.stat("/data/local/tmp/none") == (0, 0, 0)
    assert client.list("/data/local/tmp/none") == []
    with pytest.raises(AdbCommandFailureException, match="No such file or directory"):
        client.pull("/data/local/tmp/none", io.BytesIO())


def test_without_a_key(phone: VirtualPhone) -> None:
    with pytest.raises(DeviceAuthError):
        AdbDeviceTcp("127.0.0.1", phone.port).connect()


def test_a_wrong_key_gets_no_answer(phone: VirtualPhone, temporary_home: Path) -> None:
    stranger = CryptographySigner(str(temporary_home / ".android/adbkey"))
    client = AdbDeviceTcp("127.0.0.1", phone.port)
    with pytest.raises(TcpTimeoutException):
        client.connect([stranger], auth_timeout_s=0.3)
    client.close()


def test_the_second_of_two_keys_is_tried(
    phone: VirtualPhone, temporary_home: Path, signer: CryptographySigner
) -> None:
    stranger = CryptographySigner(str(temporary_home / ".android/adbkey"))
    client = AdbDeviceTcp("127.0.0.1", phone.port)
    assert client.connect([stranger, signer])
    client.close()


def test_given_keys_only(signer: CryptographySigner, temporary_home: Path) -> None:
    trusted = CryptographySigner(str(temporary_home / ".android/adbkey"))
    with VirtualPhone(authorization=[trusted.GetPublicKey().decode()]) as phone:
        client = AdbDeviceTcp("127.0.0.1", phone.port)
        assert client.connect([trusted])
        with pytest.raises(TcpTimeoutException):
            client.connect([signer], auth_timeout_s=0.3)
        client.close()
