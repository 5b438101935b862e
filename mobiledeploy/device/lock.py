"""One run at a time on a device: two would slow each other down, and neither could know."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from mobiledeploy.cache import cache_dir
from mobiledeploy.errors import DeviceError


@contextlib.contextmanager
def device_lock(serial: str) -> Iterator[None]:
    """Hold a device for the length of the block, against other processes of this user on this computer.

    The kernel drops the lock with the process, however that ends. Raises DeviceError at once where
    another process holds it, with that process's number.
    """
    path = cache_dir() / "locks" / f"{re.sub(r'[^A-Za-z0-9._-]', '_', serial)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DeviceError(
                f"{serial} is busy: {_owner(path)} is running something on it",
                hint="Wait until that has ended, or choose another device with -s.",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _owner(path: Path) -> str:
    text = path.read_text("ascii", "replace").strip()
    return f"process {text}" if text.isdigit() else "another process"
