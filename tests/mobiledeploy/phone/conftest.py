"""A virtual phone, and Google's adb with a server and a home of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from adb_shell.auth.keygen import keygen

from mobiledeploy.device import Device, open_device
from mobiledeploy.phone import VirtualPhone

RunAdb = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def adb(adb_server: RunAdb, phone: VirtualPhone) -> Iterator[RunAdb]:
    """Google's adb, connected to the phone that `phone` is."""
    connected = adb_server("connect", phone.serial)
    assert connected.stdout.startswith(b"connected to"), connected

    def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return adb_server("-s", phone.serial, *arguments, stdin=stdin)

    yield run
    adb_server("disconnect", phone.serial)


@pytest.fixture
def temporary_home(tmp_path: Path) -> Path:
    """A home whose ADB key no phone has seen."""
    folder = tmp_path / "stranger/.android"
    folder.mkdir(parents=True)
    keygen(str(folder / "adbkey"))
    return folder.parent


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache of the test's own: what is staged leaves its notes and locks there."""
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def device(phone: VirtualPhone) -> Iterator[Device]:
    with open_device(phone.serial) as device:
        yield device
