"""Faults in data: files that arrive changed or don't fit, output that is garbled or ends early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from mobiledeploy.phone.faults import Corrupt, Full, Truncate
from mobiledeploy.phone.stage import Stage

NOISE = b"\x00\xff\xfe\x1b[31m\x80noise\r\n"  # neither UTF-8 nor JSON
_ULIMIT_BLOCK = 512  # POSIX: what `ulimit -f` counts in


def room_for(stage: Stage, size: int) -> int:
    """Return how many of `size` pushed bytes the disk still takes, and count them."""
    return min([size, *(full.take(size, full.fault.after) for full in stage.active(Full))])


def limited(stage: Stage, text: str) -> str:
    """Return a command's text so that, on a full disk, files that it writes can't grow beyond what is left.

    Without SIGXFSZ, which would kill it, its writes fail with EFBIG.
    """
    left = [full.fault.after - full.taken for full in stage.active(Full)]
    return f"trap '' XFSZ; ulimit -f {min(left) // _ULIMIT_BLOCK}\n{text}" if left else text


class Spoiler:
    """Corrupts one pushed file or one program's output as it passes in pieces."""

    def __init__(self, stage: Stage, what: Literal["pushes", "output"]) -> None:
        self._stage = stage
        self._what = what
        self._passed = 0

    def __call__(self, data: bytes) -> bytes:
        """Return the next piece as it is to arrive."""
        spoiled = data
        for corrupt in self._stage.active(Corrupt):
            offset = corrupt.fault.after - self._passed
            if corrupt.fault.what == self._what and 0 <= offset < len(data) and corrupt.strike():
                spoiled = spoiled[:offset] + self._spoiled(spoiled[offset]) + spoiled[offset + 1 :]
        self._passed += len(data)
        return spoiled

    def _spoiled(self, byte: int) -> bytes:
        return bytes([byte ^ 1]) if self._what == "pushes" else NOISE + bytes([byte])


class SpoiledOutput:
    """Sends a program's stdout, corrupted or cut short; `close` ends the stream before its time."""

    def __init__(self, stage: Stage, send: Callable[[bytes], None], close: Callable[[], None]) -> None:
        self._stage = stage
        self._send = send
        self._close = close
        self._spoil = Spoiler(stage, "output")
        self._sent = 0
        self._ended = False

    def __call__(self, data: bytes) -> None:
        """Send the next piece, or what is left of it."""
        if self._ended:
            return
        data = self._spoil(data)
        for truncate in self._stage.active(Truncate):
            left = max(0, truncate.fault.bytes - self._sent)
            if len(data) > left and truncate.strike():
                self._ended = True
                if left:
                    self._send(data[:left])
                if truncate.fault.end == "close":
                    self._close()
                return
        self._sent += len(data)
        self._send(data)
