"""`sync:`, ADB's file transfer: stat and list in both their forms, push and pull.

A request is a four-byte id and a little-endian 32-bit length, then a path of that length; what
follows depends on the id. Source: AOSP packages/modules/adb, `SYNC.TXT`, `file_sync_protocol.h`,
`daemon/file_sync_service.cpp`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from mobiledeploy.phone.spoil import Spoiler, room_for
from mobiledeploy.phone.stage import Stage
from mobiledeploy.phone.streams import Stream
from mobiledeploy.phone.system import System

MAX_PATH = 1024  # file_sync_service.cpp, which reads a longer name as an attack
MAX_DATA = 64 * 1024  # SYNC_DATA_MAX
WRITE_SIZE = 512 * 1024

_REQUEST = struct.Struct("<4sI")
_STAT = struct.Struct("<4s3I")  # mode, size, mtime; all 0 for what isn't there
_STAT_V2 = struct.Struct("<4sI2Q4IQ3q")  # error, dev, ino, mode, nlink, uid, gid, size, atime, mtime, ctime
_DENT = struct.Struct("<4s4I")  # mode, size, mtime, length of the name
_DENT_V2 = struct.Struct("<4sI2Q4IQ3qI")  # as _STAT_V2, and the length of the name


class SyncFailure(Exception):  # noqa: N818 - it is the protocol's FAIL, whose text goes to the peer
    """A request can't be served; its text is what the peer is told."""


def serve_files(stream: Stream, system: System, stage: Stage) -> None:
    """Answer file requests until the peer quits, leaves, or sends what is no request."""
    handlers: dict[bytes, Callable[[Stream, System, str], None]] = {
        b"STAT": _stat_v1,
        b"STA2": _stat_v2,
        b"LST2": _lstat_v2,
        b"LIST": _list_v1,
        b"LIS2": _list_v2,
        b"SEND": partial(_take_file, stage=stage),
        b"RECV": _give_file,
    }
    while True:
        request, size = _REQUEST.unpack(stream.read_exactly(_REQUEST.size))
        if request == b"QUIT":
            return
        if request not in handlers or size > MAX_PATH:
            _fail(stream, f"not a request: {request!r} with {size} bytes")
            return
        path = os.fsdecode(stream.read_exactly(size))
        try:
            handlers[request](stream, system, path)
        except SyncFailure as failure:
            _fail(stream, str(failure))


def _fail(stream: Stream, message: str) -> None:
    text = message.encode("utf-8", "replace")
    stream.write(_REQUEST.pack(b"FAIL", len(text)) + text)


# stat


def _stat_v1(stream: Stream, system: System, path: str) -> None:
    try:
        info = system.locate(path, follow=False).lstat()
    except OSError:
        stream.write(_STAT.pack(b"STAT", 0, 0, 0))
        return
    stream.write(_STAT.pack(b"STAT", info.st_mode, _low(info.st_size), _low(int(info.st_mtime))))


def _stat_v2(stream: Stream, system: System, path: str) -> None:
    stream.write(_STAT_V2.pack(b"STA2", *_describe(lambda: system.locate(path).stat())))


def _lstat_v2(stream: Stream, system: System, path: str) -> None:
    stream.write(_STAT_V2.pack(b"LST2", *_describe(lambda: system.locate(path, follow=False).lstat())))


def _describe(read: Callable[[], os.stat_result]) -> tuple[int, ...]:
    """Return version 2's fields, or those of a failure: the error's number, and 0 for the rest."""
    try:
        return _fields(read())
    except OSError as error:
        return (error.errno or errno.EIO, *(0,) * 10)


def _fields(info: os.stat_result) -> tuple[int, ...]:
    return (
        0,
        info.st_dev,
        info.st_ino,
        info.st_mode,
        info.st_nlink,
        info.st_uid,
        info.st_gid,
        info.st_size,
        int(info.st_atime),
        int(info.st_mtime),
        int(info.st_ctime),
    )


def _low(value: int) -> int:
    """Return the low 32 bits, which are all that version 1 has room for."""
    return value & 0xFFFFFFFF


# list


def _list_v1(stream: Stream, system: System, path: str) -> None:
    reply = bytearray()
    for name, info in _entries(system, path):
        size, modified = _low(info.st_size), _low(int(info.st_mtime))
        reply += _DENT.pack(b"DENT", info.st_mode, size, modified, len(name)) + name
    stream.write(bytes(reply) + _DENT.pack(b"DONE", 0, 0, 0, 0))


def _list_v2(stream: Stream, system: System, path: str) -> None:
    reply = bytearray()
    for name, info in _entries(system, path):
        reply += _DENT_V2.pack(b"DNT2", *_fields(info), len(name)) + name
    stream.write(bytes(reply) + _DENT_V2.pack(b"DONE", *(0,) * 12))


def _entries(system: System, path: str) -> list[tuple[bytes, os.stat_result]]:
    """Return a folder's names with `.` and `..`, as readdir does; none where it can't be read."""
    try:
        folder = system.locate(path)
        names = [".", "..", *sorted(entry.name for entry in folder.iterdir())]
    except OSError:
        return []
    entries = []
    for name in names:
        with contextlib.suppress(OSError):  # gone since
            entries.append((os.fsencode(name), (folder / name).lstat()))
    return entries


# push


def _take_file(stream: Stream, system: System, request: str, *, stage: Stage) -> None:
    """Take `PATH,MODE`, then DATA pieces, then DONE with the time of modification.

    After an error the rest is read and dropped, because the peer reads no answer before its DONE.
    """
    path, _, mode = request.rpartition(",")
    with _Upload(system, path, mode, stage) as upload:
        while True:
            kind, size = _REQUEST.unpack(stream.read_exactly(_REQUEST.size))
            if kind == b"DONE":
                break
            if kind != b"DATA" or size > MAX_DATA:
                raise SyncFailure(f"oversize or unknown data message: {kind!r} with {size} bytes")
            upload.write(stream.read_exactly(size))
        upload.finish(modified=size)
    stream.write(_REQUEST.pack(b"OKAY", 0))


class _Upload:
    """A file that is being pushed: removed again unless `finish` is reached.

    `write` remembers the first failure, in the system's own words, and `finish` raises it.
    """

    def __init__(self, system: System, path: str, mode: str, stage: Stage) -> None:
        self._stage = stage
        self._spoil = Spoiler(stage, "pushes")
        self._failure: SyncFailure | None = None
        self._path: Path | None = None
        self._file = -1
        try:
            self._mode = _parse_mode(mode)
            self._create(_locate(system, path))
        except SyncFailure as failure:
            self._failure = failure

    def __enter__(self) -> _Upload:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _create(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SyncFailure(f"couldn't create file: {error.strerror}") from error
        self._path = path

    def write(self, data: bytes) -> None:
        if self._failure is not None:
            return
        room = room_for(self._stage, len(data))
        rest = memoryview(self._spoil(data))[:room]
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if room < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._failure = SyncFailure(f"write failed: {error.strerror}")

    def finish(self, *, modified: int) -> None:
        if self._failure is not None:
            raise self._failure
        os.fchmod(self._file, self._mode)
        os.utime(self._file, (modified, modified))
        self._path = None


def _parse_mode(text: str) -> int:
    """Return the permission bits of a mode in decimal digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise SyncFailure(f"bad mode {text!r}")
    if stat.S_IFMT(int(text)) not in (0, stat.S_IFREG):
        raise SyncFailure("only regular files can be pushed to the virtual phone")
    return int(text) & 0o777


# pull


def _give_file(stream: Stream, system: System, path: str) -> None:
    try:
        file = _locate(system, path).open("rb")
    except OSError as error:
        raise SyncFailure(f"open failed: {error.strerror}") from error
    # Many messages in one write: else each small file costs a delayed TCP acknowledgement (40 ms).
    pending = bytearray()
    with file:
        while data := _read(file):
            pending += _REQUEST.pack(b"DATA", len(data)) + data
            if len(pending) >= WRITE_SIZE:
                stream.write(bytes(pending))
                pending.clear()
    stream.write(bytes(pending) + _REQUEST.pack(b"DONE", 0))


def _read(file: IO[bytes]) -> bytes:
    try:
        return file.read(MAX_DATA)
    except OSError as error:
        raise SyncFailure(f"read failed: {error.strerror}") from error


def _locate(system: System, path: str) -> Path:
    try:
        return system.locate(path)
    except OSError as error:
        raise SyncFailure(f"couldn't resolve {path!r}: {error.strerror}") from error
