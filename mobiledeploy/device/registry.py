"""Virtual phones that run by hand announce themselves here, so that other commands find them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.cache import cache_dir

_PROBE_S = 0.5


@dataclass(frozen=True)
class RegisteredPhone:
    """A running virtual phone: its port on 127.0.0.1 and what it is."""

    port: int
    model: str

    @property
    def serial(self) -> str:
        """The name by which ADB clients reach it."""
        return f"127.0.0.1:{self.port}"


@contextlib.contextmanager
def registered(phone: RegisteredPhone) -> Iterator[None]:
    """Announce a phone of this process for as long as the block runs."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    entry = folder / f"{phone.port}.json"
    temporary = folder / f"{phone.port}.{os.getpid()}.tmp"
    text = json.dumps({"port": phone.port, "pid": os.getpid(), "model": phone.model})
    try:
        temporary.write_text(text)
        temporary.replace(entry)
        yield
    finally:
        temporary.unlink(missing_ok=True)
        if _pid_in(entry) == os.getpid():
            entry.unlink(missing_ok=True)


def registered_phones() -> list[RegisteredPhone]:
    """Return the phones that can be reached; entries that a killed one left behind are removed.

    One that refuses connections for a while (see `mobiledeploy.phone.faults.Cut`) is left out and kept.
    """
    phones = []
    for entry in sorted(_folder().glob("*.json")):
        phone = _read(entry)
        if phone is None or not _lives(_pid_in(entry)):
            entry.unlink(missing_ok=True)
        elif _listens(phone):
            phones.append(phone)
    return phones


def _folder() -> Path:
    return cache_dir() / "phones"


def _load(entry: Path) -> dict[str, object]:
    try:
        content = json.loads(entry.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _read(entry: Path) -> RegisteredPhone | None:
    content = _load(entry)
    port, model = content.get("port"), content.get("model")
    if not isinstance(port, int) or not 0 < port < 65536 or not isinstance(model, str):
        return None
    return RegisteredPhone(port, model)


def _pid_in(entry: Path) -> int:
    pid = _load(entry).get("pid")
    return pid if isinstance(pid, int) and pid > 0 else 0


def _lives(pid: int) -> bool:
    """Whether it is a process of this user's: another user's is not the one that wrote into our cache."""
    if pid == 0:
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _listens(phone: RegisteredPhone) -> bool:
    try:
        socket.create_connection(("127.0.0.1", phone.port), timeout=_PROBE_S).close()
    except OSError:
        return False
    return True
