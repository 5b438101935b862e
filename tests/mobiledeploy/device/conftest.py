"""Devices to talk to: a virtual phone, reached directly and through Google's adb server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mobiledeploy.device import Device, open_device
from mobiledeploy.phone import VirtualPhone


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep phones that run on this computer out of the tests: they are announced in the cache."""
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path / "cache"))


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
    fixture: Callable[[str], Any], phone: VirtualPhone, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    adb = fixture("adb_server")
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb.port))
    connected = adb("connect", phone.serial)
    assert connected.stdout.startswith(b"connected to"), connected
    yield
    adb("disconnect", phone.serial)
