"""Commands on a device over ADB's `shell,v2`: exit code, stdout and stderr apart, and a time limit.

Each piece of data has an id byte and a little-endian 32-bit length in front.
Source: AOSP packages/modules/adb, `shell_protocol.h`.
"""

from __future__ import annotations

import shlex
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mobiledeploy.device.transport import DeadlineError, Reader, SilenceError, Transport, deadline_in
from mobiledeploy.errors import DeviceRunError, UsageError

OutputName = Literal["stdout", "stderr"]
OnOutput = Callable[[OutputName, bytes], None]

MAX_OUTPUT_BYTES = 64 * 1024 * 1024
_MAX_PIECE = 16 * 1024 * 1024  # adbd's pieces are at most a packet, 1 MiB
_MAX_COMMAND = 32 * 1024  # an adb server takes 64 KiB, Linux 128 KiB as one argument of `sh -c`

_STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = 1, 2, 3, 4
_PIECE = struct.Struct("<BI")


@dataclass(frozen=True)
class Completed:
    """A command that ended: its exit code (128 + the number of a signal that killed it) and output."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Command:
    """A command for a device, to be run once.

    `pid` is its process there, which leads a process group; None until the device has said it.
    Raises UsageError for what can't be a command (see `command_text`).
    """

    def __init__(
        self,
        transport: Transport,
        argv: Sequence[str],
        *,
        cwd: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._transport = transport
        self._text = command_text(argv, cwd=cwd, environment=environment)
        self.pid: int | None = None

    def run(
        self, deadline: float, on_output: OnOutput | None, *, silence_s: float | None = None
    ) -> Completed:
        """Run the command to its end.

        Raises DeadlineError where it takes too long, SilenceError where it prints nothing for
        `silence_s`, ConnectionLostError, and DeviceRunError where it prints without end or the
        device answers nonsense.
        """
        stream = self._transport.open(f"shell,v2,raw:{self._text}", deadline)
        try:
            stream.write(_PIECE.pack(_CLOSE_STDIN, 0), deadline)
            return self._collect(Reader(stream, self._transport.serial), deadline, on_output, silence_s)
        finally:
            stream.close()

    def _collect(
        self, reader: Reader, deadline: float, on_output: OnOutput | None, silence_s: float | None
    ) -> Completed:
        outputs: dict[OutputName, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        while True:
            kind, data = self._read_piece(reader, deadline, silence_s)
            if kind == _EXIT:
                return Completed(data[0] if data else 0, bytes(outputs["stdout"]), bytes(outputs["stderr"]))
            if kind in (_STDOUT, _STDERR):
                name: OutputName = "stdout" if kind == _STDOUT else "stderr"
                outputs[name] += data
                if self.pid is None:
                    data = self._take_pid(outputs["stdout"]) if kind == _STDOUT else data
                if on_output is not None:
                    if data:
                        on_output(name, data)
                    if self.pid is not None:
                        outputs["stdout"].clear()  # it was passed on, and may be long
            if sum(map(len, outputs.values())) > MAX_OUTPUT_BYTES:
                raise DeviceRunError(f"the command printed more than {MAX_OUTPUT_BYTES} bytes: {self._text}")

    def _read_piece(self, reader: Reader, deadline: float, silence_s: float | None) -> tuple[int, bytes]:
        """Return the next piece's kind and content."""
        soon = deadline if silence_s is None else min(deadline, deadline_in(silence_s))
        try:
            kind, size = _PIECE.unpack(reader.read_exactly(_PIECE.size, soon))
            if size > _MAX_PIECE:
                raise DeviceRunError(f"{self._transport.serial} sent a piece of {size} bytes of output")
            return kind, reader.read_exactly(size, soon)
        except DeadlineError as error:
            if soon < deadline:
                raise SilenceError(self._transport.serial) from error
            raise

    def _take_pid(self, stdout: bytearray) -> bytes:
        """Take the first line off stdout once it is whole; return what came after it."""
        line, newline, rest = bytes(stdout).partition(b"\n")
        if not newline:
            return b""
        if not line.strip().isdigit():
            raise DeviceRunError(f"{self._transport.serial} runs no usual shell: it said {line[:80]!r}")
        self.pid = int(line)
        stdout[:] = rest
        return rest


def command_text(
    argv: Sequence[str], *, cwd: str | None, environment: Mapping[str, str] | None = None
) -> str:
    """Return the shell text that prints its process id and then becomes the command.

    Every argument, and every value of the variables in `environment`, is quoted. Raises UsageError for an empty
    command, one with NUL characters, or one that is too long to send.
    """
    if not argv:
        raise UsageError("an empty command")
    change = f"cd {shlex.quote(cwd)} && " if cwd is not None else ""
    variables = "".join(
        f"export {name}={shlex.quote(value)}; " for name, value in (environment or {}).items()
    )
    text = f"echo $$; {variables}{change}exec {shlex.join(argv)}"
    if "\0" in text:
        raise UsageError(f"a command with a NUL character: {text!r}")
    if len(text.encode("utf-8", "surrogateescape")) > _MAX_COMMAND:
        raise UsageError(f"a command of more than {_MAX_COMMAND} bytes: {text[:80]}…")
    return text
