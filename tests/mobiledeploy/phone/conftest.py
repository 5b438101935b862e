"""A virtual phone, and Google's adb with a server and a home of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from adb_shell.auth.keygen import keygen

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
