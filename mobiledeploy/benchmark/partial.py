"""A run in progress, on disk: every line that the device has said, so that no end of it loses a sample.

The file is JSON Lines. Its first line says what is being run; then, for each launch, a line `launch` with its
number and the order of its configurations, the binary's own lines, and a line `done` with what else belongs to
it. A launch without `done` was cut off: its samples stay in the file, and it is run again when the run goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mobiledeploy.benchmark.journal import Journal, JournalError

# A run goes on where it stopped within this time; a device is another one later: warmer, updated, in other use.
MAX_AGE_S = 3600.0


@dataclass
class Launch:
    """One process on the device: the order in which it loaded the configurations, and what it said."""

    order: Sequence[int]
    journal: Journal = field(default_factory=Journal)
    done: Mapping[str, Any] | None = None


class PartialRun:
    """The file of a run in progress; a context manager that leaves the file there unless `finish` was called.

    `key` says what is being run: anything JSON. What the file holds of the same key, and is not too old, counts
    as done; another file in its place is replaced.
    """

    def __init__(self, path: Path, key: Mapping[str, Any]) -> None:
        self.path = path
        self._key = json.loads(json.dumps(key))
        self.launches: dict[int, Launch] = {}

    def __enter__(self) -> PartialRun:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = self._read() if self._is_recent() else ""
        self._file = self.path.open("w" if not kept else "r+", encoding="utf-8")
        if kept:
            self._file.truncate(len(kept.encode()))  # a cut may have left half a last line
            self._file.seek(0, os.SEEK_END)
        else:
            self.append({"run": self._key})
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, line: Mapping[str, Any] | str) -> None:
        """Write a line, at once."""
        self._file.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
        self._file.flush()

    def begin(self, number: int, order: Sequence[int]) -> Launch:
        """Note that a launch begins."""
        self.append({"launch": number, "order": list(order)})
        launch = self.launches[number] = Launch(order)
        return launch

    def take(self, number: int, line: str) -> None:
        """Take a line of the binary's; raises JournalError for one that is none (it is kept all the same)."""
        self.append(line)
        self.launches[number].journal.add(line)

    def end(self, number: int, more: Mapping[str, Any]) -> None:
        """Note that a launch ended well, and what else belongs to it."""
        self.append({"done": number, **more})
        os.fsync(self._file.fileno())
        self.launches[number].done = more

    def finish(self) -> None:
        """Remove the file: the run's record has all that was in it."""
        self.path.unlink(missing_ok=True)

    @property
    def samples(self) -> int:
        """How many measured samples the file holds, those of launches that were cut off included."""
        return sum(launch.journal.measured for launch in self.launches.values())

    def _is_recent(self) -> bool:
        try:
            return time.time() - self.path.stat().st_mtime <= MAX_AGE_S
        except OSError:
            return False

    def _read(self) -> str:
        """Take over the launches that ended well; returns the whole lines, or nothing for another run's file."""
        try:
            text = self.path.read_text("utf-8")
            text = text[: text.rfind("\n") + 1]
            lines = text.splitlines()
            if not lines or json.loads(lines[0]) != {"run": self._key}:
                return ""
        except (OSError, ValueError):
            return ""
        launches: dict[int, Launch] = {}
        number = -1
        for line in lines[1:]:
            # What a broken connection garbled is in a launch that was cut off, which is run again anyhow.
            with contextlib.suppress(ValueError, KeyError, TypeError, JournalError):
                number = _take(launches, number, line)
        self.launches = {number: launch for number, launch in launches.items() if launch.done is not None}
        return text


def _take(launches: dict[int, Launch], number: int, line: str) -> int:
    """Take a line of the file into the launches; returns the launch that the next line belongs to."""
    content = json.loads(line)
    if "launch" in content:
        launches[content["launch"]] = Launch(content["order"])
        return int(content["launch"])
    if "done" in content:
        launches[content.pop("done")].done = content
    else:
        launches[number].journal.add(line)
    return number
