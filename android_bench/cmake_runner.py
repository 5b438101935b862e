"""CMake and Ninja, from PyPI, run with progress and without leaving anything behind when interrupted."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sysconfig
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from android_bench.binary import BuildStep, Progress
from android_bench.errors import BuildError

_LOG_TAIL_LINES = 30
# CMake announces its steps, but not how many: about as many as ncnn's CMake files take.
_CONFIGURE_STEPS = 40
_NINJA_STATUS = re.compile(r"^\[(\d+)/(\d+)\] ")


def tool(name: str) -> str:
    """Return the path of cmake or ninja as installed beside this Python, else as PATH has it."""
    installed = Path(sysconfig.get_path("scripts")) / name
    return str(installed) if installed.is_file() else name


def configure(
    source: Path, build: Path, arguments: list[str], environment: dict[str, str], progress: Progress | None
) -> None:
    """Run CMake.

    Raises:
        BuildError: it failed, with the end of what it printed.
    """
    step = 0

    def count(line: str) -> None:
        nonlocal step
        if progress and line.startswith("--") and step < _CONFIGURE_STEPS - 1:
            step += 1
            progress(BuildStep("configure", step, _CONFIGURE_STEPS))

    command = [
        tool("cmake"),
        *("-G", "Ninja", "-S", str(source), "-B", str(build)),
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        *arguments,
    ]
    _run(command, environment, build.parent / "configure.log", count)
    if progress:
        progress(BuildStep("configure", _CONFIGURE_STEPS, _CONFIGURE_STEPS))


def compile_all(build: Path, environment: dict[str, str], progress: Progress | None) -> None:
    """Run Ninja on all cores that this process may use.

    Raises:
        BuildError: it failed, with the end of what it printed.
    """

    def count(line: str) -> None:
        match = _NINJA_STATUS.match(line)
        if progress and match:
            progress(BuildStep("compile", int(match[1]), int(match[2])))

    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    command = [tool("ninja"), "-C", str(build), "-j", str(jobs), "android_bench"]
    _run(command, {**environment, "NINJA_STATUS": "[%f/%t] "}, build.parent / "compile.log", count)


def _run(
    command: list[str], environment: dict[str, str], log: Path, each_line: Callable[[str], None]
) -> None:
    tail: deque[str] = deque(maxlen=_LOG_TAIL_LINES)
    with log.open("w") as file, child_process(command, log.parent, environment) as process:
        for line in process.stdout or ():
            file.write(line)
            tail.append(line.rstrip())
            each_line(line)
        status = process.wait()
    if status != 0:
        raise BuildError(
            f"{Path(command[0]).name} failed with exit status {status}",
            hint=f"The whole log is {log}.",
            log_tail="\n".join(tail),
        )


@contextlib.contextmanager
def child_process(
    command: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Run `command` in `folder` for the length of the block; whatever ends the block ends it and its children."""
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise BuildError(
            f"{command[0]} could not be started: {error}", hint="pip install cmake ninja ziglang"
        ) from error
    with process:  # waits at its end
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
