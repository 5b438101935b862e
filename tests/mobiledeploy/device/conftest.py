"""Devices to talk to: a virtual phone, reached directly and through Google's adb server."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import adbutils
import pytest
from adb_shell.auth.keygen import keygen

from mobiledeploy.device import Device, open_device
from mobiledeploy.phone import VirtualPhone


@pytest.fixture(scope="session")
def key_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an ADB key that adb-shell made."""
    home = tmp_path_factory.mktemp("home")
    (home / ".android").mkdir()
    keygen(str(home / ".android/adbkey"))
    return home


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, key_home: Path, tmp_path: Path) -> None:
    """Keep the user's own keys, devices, servers and caches out of the tests."""
    for name in ("ANDROID_SERIAL", "ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ADB_VENDOR_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(key_home))
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(_free_port()))


@pytest.fixture
def phone() -> Iterator[VirtualPhone]:
    with VirtualPhone() as phone:
        yield phone


@pytest.fixture(scope="session")
def adb_server(key_home: Path) -> Iterator[int]:
    """The port of a server of Google's adb that ends with the tests."""
    port = _free_port()
    _adb(key_home, port, "start-server")
    yield port
    _adb(key_home, port, "kill-server")


@pytest.fixture(params=["direct", "server"])
def device(
    request: pytest.FixtureRequest, phone: VirtualPhone, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Device]:
    """The virtual phone, opened by our own connection and through an adb server."""
    with contextlib.ExitStack() as stack:
        if request.param == "server":
            stack.enter_context(connected_to_server(request.getfixturevalue, phone, monkeypatch))
        yield stack.enter_context(open_device(phone.serial))


@pytest.fixture
def served_phone(
    request: pytest.FixtureRequest, phone: VirtualPhone, monkeypatch: pytest.MonkeyPatch
) -> Iterator[VirtualPhone]:
    """A virtual phone that a running adb server knows."""
    with connected_to_server(request.getfixturevalue, phone, monkeypatch):
        yield phone


@contextlib.contextmanager
def connected_to_server(
    fixture: Callable[[str], object], phone: VirtualPhone, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    port, home = fixture("adb_server"), fixture("key_home")
    assert isinstance(port, int)
    assert isinstance(home, Path)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
    connected = _adb(home, port, "connect", phone.serial)
    assert connected.startswith(b"connected to"), connected
    yield
    _adb(home, port, "disconnect", phone.serial)


def _adb(home: Path, port: int, *arguments: str) -> bytes:
    try:
        adb = adbutils.adb_path()
    except adbutils.AdbError as error:
        pytest.skip(f"no adb program for this platform: {error}")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANDROID_ADB_SERVER_PORT": str(port),
        "ADB_MDNS_AUTO_CONNECT": "0",
    }
    completed = subprocess.run(
        [adb, *arguments], env=environment, capture_output=True, timeout=60, check=False
    )
    return completed.stdout


def _free_port() -> int:
    """A port outside those that adb takes for emulators'."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
        if not 5555 <= port <= 5585:
            return port
