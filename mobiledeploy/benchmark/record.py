"""A run: the record of one benchmark, as versioned JSON. Tables only read it."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobiledeploy.errors import UsageError
from ncnn_tools.files import write_atomically

SCHEMA = 2


@dataclass(frozen=True)
class Run:
    """One benchmark: `document` is the whole JSON."""

    document: Mapping[str, Any]

    @property
    def benchmarks(self) -> Sequence[Mapping[str, Any]]:
        """One entry a configuration, with every raw sample."""
        entries: Sequence[Mapping[str, Any]] = self.document["benchmarks"]
        return entries

    @property
    def device_label(self) -> str:
        """What the device is called in tables."""
        return str(self.document["context"]["device"]["label"])


def write_run(run: Run, path: Path) -> None:
    """Write a run, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(run.document, indent=1).encode())


def read_run(path: Path) -> Run:
    """Read a run; UsageError where the file is none, or of another schema."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: not JSON: {error}", hint="`mobiledeploy benchmark` writes runs."
        ) from error
    if not isinstance(document, dict) or document.get("kind") != "run":
        raise UsageError(f"{path}: not a run", hint="`mobiledeploy benchmark` writes runs.")
    if document.get("schema") != SCHEMA:
        raise UsageError(f"{path}: of schema {document.get('schema')!r}; this version reads {SCHEMA}")
    try:
        _check(document)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: damaged: {error!r}") from error
    return Run(document)


def _check(document: Mapping[str, Any]) -> None:
    """Touch everything that the reports and comparisons rely on."""
    str(document["context"]["device"]["label"])
    _ = document["parameters"]["timed"]
    for entry in document["benchmarks"]:
        _ = (
            entry["model"],
            entry["name"],
            entry["precision"],
            entry["threads"],
            entry["size_bytes"],
            entry["accuracy"],
        )
        if "instructions" in entry:
            _check_instructions(entry["instructions"])
        for launch in entry["launches"]:
            _check_numbers("launches", [launch["load_ms"], launch["first_ms"]])
        for key in ("times_ms", "started_ms", "launch", "round", "cpu_ms"):
            if key == "cpu_ms" and key not in entry:
                continue
            _check_numbers(key, entry[key])
            if len(entry[key]) != len(entry["times_ms"]):
                raise TypeError(f"{key} and times_ms differ in length")


def _check_instructions(instructions: Mapping[str, Any]) -> None:
    _ = instructions["cpu"], instructions["emulator"]
    _check_numbers("instructions", [instructions["median"], *instructions["per_inference"]])
    _check_numbers("layers", [layer["count"] for layer in instructions["layers"]])


def _check_numbers(key: str, values: Sequence[Any]) -> None:
    if not all(isinstance(value, (int, float)) for value in values):
        raise TypeError(key)


def default_path(models: Sequence[str], now: datetime.datetime) -> Path:
    """Return runs/TIME-MODELS.json."""
    names = re.sub(r"[^\w.-]+", "_", "+".join(models))[:80]
    return Path("runs", f"{now:%Y%m%dT%H%M%S}-{names}.json")
