"""Devices to talk to: a virtual phone, reached directly and through Google's adb server."""

from __future__ import annotations

import contextlib
import socket
import threading
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
    adb("disconnect")  # the server may remember phones of other tests, which are gone
    connected = adb("connect", phone.serial)
    assert connected.stdout.startswith(b"connected to"), connected
    yield
    adb("disconnect", phone.serial)


class CuttingProxy:
    """Passes bytes between its clients and a phone, and breaks a connection when it is told to."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._limit: int | None = None
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, limit: int) -> None:
        """Break the current connection once so many more bytes have gone to the phone; only once."""
        self._limit = limit

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            phone = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pass_on, args=(client, phone, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(phone, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted and self._limit is not None:
                    data, over = data[: self._limit], len(data) > self._limit
                    self._limit -= len(data)
                    if over:
                        self._limit = None
                        target.sendall(data)
                        break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(phone: VirtualPhone) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(phone.port)
    yield proxy
    proxy.close()
