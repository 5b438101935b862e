"""What the benchmark binary says while it runs: one line of JSON for each thing as it happens.

`begin`, `loaded` for each configuration, `sample` and `reading` as they come, and `end`; where layers are measured
`network` for each configuration and `layers` for each inference that is. A launch that was cut off has no `end`;
everything before it counts all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = 2  # of the binary's lines

Phase = Literal["warmup", "steady", "paced"]
_PHASES: tuple[Phase, ...] = ("warmup", "steady", "paced")
_NUMBERS = ("started_ms", "time_ms", "cpu_ms")


class JournalError(Exception):
    """A line is not what the binary writes, or says what can't be."""


class ClockError(JournalError):
    """The device's clock went backwards."""


@dataclass(frozen=True)
class Sample:
    """One inference: its round within the phase, start on the device's monotonic clock, wall and CPU time in ms.

    `due_ms` is the tick of the clock that a paced one waited for.
    """

    configuration: int
    phase: Phase
    round: int
    started_ms: float
    time_ms: float
    cpu_ms: float
    due_ms: float | None = None


@dataclass(frozen=True)
class LayerTimes:
    """One inference with a clock behind each layer: times in ms, in the order in which the layers run.

    The layers lie back to back from `started_ms` on; what `whole_ms` has beyond them brings the outputs out.
    """

    configuration: int
    round: int
    started_ms: float
    times_ms: Sequence[float]
    whole_ms: float


@dataclass
class Journal:
    """The lines of one launch, read so far.

    `loaded` is in the order of the command line; `measured` counts the samples that are no warm-up. `networks` maps
    a configuration to its layers in the order in which they run: name, type, and the shape, elempack and elembits of
    each input and output.
    """

    begin: Mapping[str, Any] | None = None
    loaded: list[Mapping[str, Any]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    measured: int = 0
    networks: dict[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    layers: list[LayerTimes] = field(default_factory=list)
    readings: list[Mapping[str, Any]] = field(default_factory=list)
    end: Mapping[str, Any] | None = None

    def add(self, line: str) -> None:
        """Take one line; raises JournalError for one that the binary does not write."""
        take = {
            "begin": self._add_begin,
            "loaded": self.loaded.append,
            "sample": self._add_sample,
            "network": self._add_network,
            "layers": self._add_layers,
            "reading": self._add_reading,
            "end": self._add_end,
        }
        try:
            [(kind, content)] = json.loads(line).items()
            take[kind](content)
        except JournalError:
            raise
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise JournalError(f"not a line of the benchmark's: {line[:200]!r}") from error

    def of(self, configuration: int, phase: Phase) -> list[Sample]:
        """Return a configuration's samples of a phase, in order."""
        return [s for s in self.samples if s.configuration == configuration and s.phase == phase]

    def _add_begin(self, content: Mapping[str, Any]) -> None:
        if content["schema"] != SCHEMA:
            raise JournalError(f"lines of schema {content['schema']!r}; this version reads {SCHEMA}")
        self.begin = content

    def _add_sample(self, content: Mapping[str, Any]) -> None:
        numbers = [content[name] for name in _NUMBERS]
        if content["phase"] not in _PHASES or not all(type(number) in (int, float) for number in numbers):
            raise JournalError(f"a sample that is none: {dict(content)!r}")
        if not 0 <= content["configuration"] < len(self.loaded):
            raise JournalError(f"a sample of a configuration that was not loaded: {dict(content)!r}")
        sample = Sample(**content)
        previous = self.samples[-1].started_ms if self.samples else sample.started_ms
        if sample.time_ms < 0 or sample.started_ms < previous:
            raise ClockError(f"the device's clock went back from {previous} to {sample.started_ms} ms")
        self.samples.append(sample)
        self.measured += sample.phase != "warmup"

    def _add_network(self, content: Mapping[str, Any]) -> None:
        _ = [(layer["name"], layer["type"], layer["inputs"], layer["outputs"]) for layer in content["layers"]]
        self.networks[content["configuration"]] = content["layers"]

    def _add_layers(self, content: Mapping[str, Any]) -> None:
        times = LayerTimes(**content)
        numbers = [times.started_ms, times.whole_ms, *times.times_ms]
        if not all(type(number) in (int, float) and number >= 0 for number in numbers):
            raise JournalError(f"times of layers that are none: {dict(content)!r}")
        if len(times.times_ms) != len(self.networks[times.configuration]):
            raise JournalError(f"times of {len(times.times_ms)} layers, which are not all")
        self.layers.append(times)

    def _add_reading(self, content: Mapping[str, Any]) -> None:
        _ = content["at_ms"], content["values"].items()
        self.readings.append(content)

    def _add_end(self, content: Mapping[str, Any]) -> None:
        self.end = content


def read_journal(lines: Iterable[str]) -> Journal:
    """Read whole lines; raises JournalError at the first that is wrong."""
    journal = Journal()
    for line in lines:
        journal.add(line)
    return journal


def whole_lines(text: bytes) -> list[str]:
    """Return the lines of a text that are whole: a cut may have left half a last one."""
    lines = text.decode("utf-8", "replace").split("\n")
    return lines[:-1]
