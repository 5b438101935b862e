"""The other side of `isolated`: a process that loads and runs models until its standard input ends.

A message, either way, is a line of JSON and then the float32 values of its arrays, back to back: nothing that
executes, since it may come from a process in which native code has gone astray.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

MEMORY_BYTES = 16 << 30  # of address space

Array = npt.NDArray[np.float32]
Message = tuple[dict[str, Any], dict[str, Array]]


def send(stream: IO[bytes], header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a message."""
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    stream.write(json.dumps({**header, "arrays": shapes}).encode() + b"\n")
    for array in arrays.values():
        stream.write(np.ascontiguousarray(array, np.float32).tobytes())
    stream.flush()


def receive(stream: IO[bytes]) -> Message | None:
    """Read a message; None where the stream ends before its end, or holds something else."""
    line = stream.readline()
    try:
        header = json.loads(line)
        arrays = {name: _read(stream, tuple(shape)) for name, shape in header.pop("arrays").items()}
    except (AttributeError, EOFError, KeyError, MemoryError, TypeError, ValueError):
        return None
    return header, arrays


def _read(stream: IO[bytes], shape: tuple[int, ...]) -> Array:
    values: Array = np.empty(shape, np.float32)
    if stream.readinto(values.reshape(-1).view(np.uint8)) != values.nbytes:  # type: ignore[attr-defined]
        raise EOFError
    return values


def limit_resources() -> None:
    """Keep this process from leaving a core file, and from taking all memory for what a hostile file says."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, hard))


def take_standard_output(mode: str) -> IO[Any]:
    """Return standard output for answers alone: what native code prints goes to standard error from now on."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), mode)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks is interrupted, and ends this one
    limit_resources()
    answers = take_standard_output("wb")

    from ncnn_tools.errors import NcnnToolsError, RuntimeFailedError
    from ncnn_tools.runtime import Runtime, RuntimeOptions

    runtime: Runtime | None = None
    while (message := receive(sys.stdin.buffer)) is not None:
        header, inputs = message
        results: dict[str, Array] = {}
        error = ""
        # Not handled, so the kernel ends this process: also one that never returns from native code.
        signal.setitimer(signal.ITIMER_REAL, header["limit_s"])
        try:
            if "load" in header:
                runtime = None
                param, weights = map(Path, header["load"])
                options = RuntimeOptions(**header["options"])
                runtime = Runtime(param, weights, options, spatial_step=header["spatial_step"])
            elif runtime is None:
                raise RuntimeFailedError("no model is loaded")
            else:
                results = runtime.run(inputs, header["run"])
        except NcnnToolsError as failure:
            error = str(failure)
        signal.setitimer(signal.ITIMER_REAL, 0)
        send(answers, {"error": error}, results)


if __name__ == "__main__":
    main()
