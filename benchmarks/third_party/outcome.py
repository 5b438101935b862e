"""What can become of a network: the vocabulary of these benchmarks, and the isolation of what may crash."""

from __future__ import annotations

import json
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any

TIMEOUT_S = 600


class Outcome(str, Enum):
    """How a conversion ended, and what its result is worth."""

    OK = "ok"  # converted, and within the tolerance of onnxruntime
    REFUSED = "refused"  # the converter says that it can't, and writes nothing
    INVALID = "invalid"  # the converter reports success, and ncnn can't load or run what it wrote
    WRONG = "wrong"  # it runs, and an output has another shape or other values
    CRASHED = "crashed"  # a signal, a traceback or a timeout


class WorkerError(Exception):
    """A process that died, or took too long; says how."""


def run(
    command: list[str], folder: Path | None = None, timeout_s: float = TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; WorkerError where a signal or the timeout ended it."""
    try:
        process = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise WorkerError(f"longer than {timeout_s:g} s") from None
    if process.returncode < 0:
        raise WorkerError(f"signal {-process.returncode}")
    return process


def call(module: str, *arguments: object) -> dict[str, Any]:
    """Run a module of this package as a program; returns the JSON object that it prints last."""
    process = run([sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments)])
    if process.returncode:
        raise WorkerError(_last_line(process.stderr) or f"exit code {process.returncode}")
    result: dict[str, Any] = json.loads(_last_line(process.stdout))
    return result


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
