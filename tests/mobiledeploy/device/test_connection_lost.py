"""A connection that breaks is an error of its own, and the next use connects again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from mobiledeploy.device import ConnectionLostError, open_device
from mobiledeploy.device.device import FOLDER
from mobiledeploy.errors import DeviceError
from mobiledeploy.phone import VirtualPhone


def is_gone(pid: int) -> bool:
    """Wait until a process has ended."""
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not Path(f"/proc/{pid}").exists()


def test_in_the_middle_of_a_push(phone: VirtualPhone, proxy: Any, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(5_000_000))
    with open_device(f"127.0.0.1:{proxy.port}") as device:
        device.run(["true"], timeout_s=20)
        proxy.cut_after(2_500_000)
        with pytest.raises(ConnectionLostError):
            device.store(tmp_path / "source")
        assert list((phone.root / FOLDER.lstrip("/")).iterdir()) == []
        stored = phone.root / device.store(tmp_path / "source").lstrip("/")
        assert stored.read_bytes() == (tmp_path / "source").read_bytes()


def test_in_the_middle_of_a_command(proxy: Any) -> None:
    pids: list[int] = []

    def cut(_: str, data: bytes) -> None:
        if not pids:
            proxy.cut_after(0)
        pids.append(int(data.split()[0]))

    with open_device(f"127.0.0.1:{proxy.port}") as device:
        # Its output is acknowledged, and with that acknowledgement the connection breaks.
        text = "echo $$; while sleep 0.1; do echo $$; done"
        with pytest.raises(ConnectionLostError):
            device.run(["sh", "-c", text], timeout_s=60, on_output=cut)
        assert is_gone(pids[0])
        assert device.run(["echo", "again"], timeout_s=20).stdout == b"again\n"


def test_for_good(phone: VirtualPhone, tmp_path: Path) -> None:
    with open_device(phone.serial) as device:
        phone.__exit__()
        with pytest.raises(DeviceError) as raised:
            device.pull("/data/local/tmp/x", tmp_path / "x")
        assert raised.value.exit_code == 3
        with pytest.raises(DeviceError, match=r"can't connect to .*: Connection refused"):
            device.run(["true"], timeout_s=20)
    assert list(tmp_path.iterdir()) == []


def test_behind_a_server(served_phone: VirtualPhone) -> None:
    with open_device(served_phone.serial) as device:
        served_phone.__exit__()
        with pytest.raises(DeviceError):
            device.run(["true"], timeout_s=20)
