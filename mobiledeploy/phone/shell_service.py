"""`shell:`, `shell,v2:` and `exec:`: a command's text goes to a real shell, its output comes back.

In version 2 each piece of data has an id byte and a little-endian 32-bit length in front, so that
stdin, stdout, stderr and the exit code share one stream. The other two are plain bytes with stderr
mixed into stdout. Source: AOSP packages/modules/adb, `shell_protocol.h`, `daemon/shell_service.cpp`.
"""

from __future__ import annotations

import contextlib
import struct
import subprocess
import threading
from collections.abc import Callable
from typing import IO

from mobiledeploy.phone.processes import Processes
from mobiledeploy.phone.spoil import SpoiledOutput, limited
from mobiledeploy.phone.stage import Stage
from mobiledeploy.phone.streams import Stream, StreamClosedError
from mobiledeploy.phone.system import System

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
MAX_PIECE = 1024 * 1024  # what a peer may send as one piece of stdin
READ_SIZE = 64 * 1024
NO_TERMINAL = b"the virtual phone has no interactive shell: give it a command\n"

_PIECE = struct.Struct("<BI")

Send = Callable[[bytes], None]


def run_command(
    stream: Stream, system: System, processes: Processes, stage: Stage, text: str, *, framed: bool
) -> None:
    """Run a command's text until it ends; `framed` is version 2's protocol, with stderr and exit code."""

    def sender(kind: int) -> Send:
        if not framed:
            return stream.write
        return lambda data: stream.write(_PIECE.pack(kind, len(data)) + data)

    if not text.strip():
        sender(STDERR)(NO_TERMINAL)
        code = 1
    else:
        code = _run(stream, system, processes, stage, text, sender, framed=framed)
    if framed:
        sender(EXIT)(bytes([code & 0xFF]))


def _run(
    stream: Stream,
    system: System,
    processes: Processes,
    stage: Stage,
    text: str,
    sender: Callable[[int], Send],
    *,
    framed: bool,
) -> int:
    try:
        process = processes.start(
            ["/bin/sh", "-c", limited(stage, system.rewrite(text))],
            cwd=system.root,
            environment=system.environment,
            merge_stderr=not framed,
        )
    except OSError as error:
        sender(STDERR)(f"sh: {error}\n".encode())
        return 126
    stream.on_hang_up(lambda: processes.hang_up(process))

    def end_early() -> None:
        stream.close()
        processes.hang_up(process)

    send_stdout = sender(STDOUT)
    if system.starts_program(text):
        send_stdout = SpoiledOutput(stage, send_stdout, end_early)
    outputs = [(process.stdout, send_stdout)]
    if framed:
        outputs.append((process.stderr, sender(STDERR)))
    pumps = [threading.Thread(target=_pump, args=output, daemon=True) for output in outputs]
    feeder = threading.Thread(target=_feed, args=(stream, process), kwargs={"framed": framed}, daemon=True)
    for thread in (*pumps, feeder):
        thread.start()
    code = processes.wait(process)
    for thread in pumps:
        thread.join()
    return code


def _pump(output: IO[bytes], send: Send) -> None:
    """Send what the process writes until it ends; what no peer takes any more is dropped."""
    with output:
        while data := output.read(READ_SIZE):
            with contextlib.suppress(StreamClosedError):
                send(data)


def _feed(stream: Stream, process: subprocess.Popen[bytes], *, framed: bool) -> None:
    """Hand the peer's stdin to the process until either ends."""
    assert process.stdin is not None  # noqa: S101 - Processes.start always makes the pipe
    open_pipe = True
    with contextlib.suppress(StreamClosedError, OSError), process.stdin as pipe:
        while True:
            if framed:
                kind, size = _PIECE.unpack(stream.read_exactly(_PIECE.size))
                if size > MAX_PIECE:
                    return
                data = stream.read_exactly(size)
            else:
                kind, data = STDIN, stream.read()
                if not data:
                    return
            if kind == CLOSE_STDIN:
                pipe.close()
                open_pipe = False
            elif kind == STDIN and open_pipe:
                open_pipe = _write(pipe, data)


def _write(pipe: IO[bytes], data: bytes) -> bool:
    """Write all of `data`; False where nobody reads the pipe any more."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[pipe.write(rest) :]
    except OSError:
        return False
    return True
