"""A virtual phone, and Google's adb with a server and a home of its own."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import adbutils
import pytest
from adb_shell.auth.keygen import keygen

from mobiledeploy.phone import VirtualPhone

RunAdb = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="session")
def key_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an ADB key that adb-shell made."""
    home = tmp_path_factory.mktemp("home")
    (home / ".android").mkdir()
    keygen(str(home / ".android/adbkey"))
    return home


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, key_home: Path) -> None:
    """Keep the user's own keys, devices and servers out of the tests."""
    for name in ("ANDROID_SERIAL", "ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ADB_VENDOR_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(key_home))


@pytest.fixture
def phone() -> Iterator[VirtualPhone]:
    with VirtualPhone() as phone:
        yield phone


@pytest.fixture(scope="session")
def adb_server(key_home: Path) -> Iterator[RunAdb]:
    """Google's adb: call it with its arguments. Its server listens on a port of its own and ends with the tests."""
    try:
        adb = adbutils.adb_path()
    except adbutils.AdbError as error:
        pytest.skip(f"no adb program for this platform: {error}")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(key_home),
        "ANDROID_ADB_SERVER_PORT": str(_free_port()),
        "ADB_MDNS_AUTO_CONNECT": "0",
        "LC_ALL": "C.UTF-8",
    }

    def run(*arguments: str, stdin: bytes = b"", home: Path = key_home) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [adb, *arguments],
            env={**environment, "HOME": str(home)},
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )

    run("start-server")
    yield run
    run("kill-server")


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


def _free_port() -> int:
    """A port outside those that adb takes for emulators'."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
        if not 5555 <= port <= 5585:
            return port
