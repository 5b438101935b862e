"""What to run on the device: the method, the configurations, and the binary's command line."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mobiledeploy.bundle import Bundle
from mobiledeploy.errors import UsageError

Mode = Literal["steady", "sustained"]


@dataclass(frozen=True)
class Method:
    """How to measure.

    A run is `launches` processes, each of which loads every configuration in an order of its own: two copies
    of one model in one process differ by 2 to 3 %, so that samples of one process say less than they seem to
    (Kalibera and Jones, "Rigorous benchmarking in reasonable time", 2013, calls for repetition at that level).
    Within a launch all configurations are warmed up, then measured in rounds in random order.

    Each configuration gets, over all launches, at least `min_runs` samples and `min_time_ms` of measured time, or
    `max_runs` samples; `max_time_ms` bounds the measuring of all of them together (0: no bound, of either). Before
    that, in each launch, it gets `warmup_runs` inferences, and more while it still gets faster, at most
    `max_warmup_ms` for all. `pace_hz` measures as much again with one inference at each tick of a clock (0: not).
    `seed` decides orders.
    """

    launches: int = 8
    warmup_runs: int = 3
    max_warmup_ms: int = 3000
    min_runs: int = 64
    max_runs: int = 20_000
    min_time_ms: int = 10_000
    max_time_ms: int = 300_000
    pace_hz: int = 0
    seed: int = 1

    @classmethod
    def quick(cls) -> Method:
        """For a first look: two seconds for each configuration."""
        return cls(launches=3, min_runs=30, min_time_ms=2000, max_time_ms=60_000)

    @classmethod
    def thorough(cls) -> Method:
        """As long as the single-stream scenario of MLPerf Inference: 1024 samples and 60 s."""
        return cls(launches=10, min_runs=1024, max_runs=100_000, min_time_ms=60_000, max_time_ms=0)

    def sustained(self, duration_s: float) -> Method:
        """Load without pause for so long, in one process: what a phone keeps up."""
        return replace(
            self,
            launches=1,
            min_runs=1,
            max_runs=0,
            min_time_ms=round(duration_s * 1000),
            max_time_ms=0,
            pace_hz=0,
        )

    def in_one_launch(self) -> Method:
        """Return what one launch does."""
        return replace(
            self,
            launches=1,
            min_runs=math.ceil(self.min_runs / self.launches),
            max_runs=math.ceil(self.max_runs / self.launches),
            min_time_ms=math.ceil(self.min_time_ms / self.launches),
            max_time_ms=math.ceil(self.max_time_ms / self.launches),
        )

    def to_json(self) -> dict[str, int]:
        """Return it for the run's record."""
        return asdict(self)


@dataclass(frozen=True)
class Configuration:
    """A variant of a bundle and how it runs: one row of the table.

    `cores` is a hexadecimal mask of CPUs, None for those that the process is given; `spin_percent` makes each
    inference so much longer, to see that a slowdown is found; `copy` counts equal configurations from 1.
    """

    bundle: Bundle
    precision: str
    threads: int = 1
    cores: str | None = None
    spin_percent: int = 0
    copy: int = 1

    @property
    def name(self) -> str:
        """A name that is unique among a bundle's configurations, such as fp32-2t@f0."""
        cores = f"@{self.cores}" if self.cores else ""
        spin = f"+{self.spin_percent}%" if self.spin_percent else ""
        copy = f".{self.copy}" if self.copy > 1 else ""
        return f"{self.precision}-{self.threads}t{cores}{spin}{copy}"


@dataclass(frozen=True)
class Plan:
    """What a benchmark covers: precisions (None: all that a bundle has), thread counts, core masks, and the method.

    With `max_temp_c` a launch begins once the device is so cool, after at most `cooldown_s` (see `gate`);
    `stabilize` asks the device for steady clocks meanwhile (see `mobiledeploy.device.stabilize`).
    `copies` measures each configuration so often beside itself, and `spin_percents` each with and without added
    work: both to judge the method. `profile` measures each layer too, and with `rooflines` the device's roofline.
    `count_instructions` counts them on an emulated phone, where nothing is timed (see `instructions`). `timeout_s`
    bounds a launch, `silence_s` the time in which nothing happens in it: the binary says every sample.
    """

    precisions: tuple[str, ...] | None = None
    threads: tuple[int, ...] = (1,)
    cores: tuple[str | None, ...] = (None,)
    method: Method = Method()
    mode: Mode = "steady"
    copies: int = 1
    spin_percents: tuple[int, ...] = (0,)
    max_temp_c: float | None = None
    cooldown_s: float = 600.0
    stabilize: bool = False
    profile: bool = False
    rooflines: bool = True
    count_instructions: bool = False
    timeout_s: float = 900.0
    silence_s: float = 120.0

    def configurations(self, bundles: Sequence[Bundle]) -> list[Configuration]:
        """Return the configurations of all bundles; UsageError where one lacks a variant."""
        found = [configuration for bundle in bundles for configuration in self._of(bundle)]
        if self.mode == "sustained" and len(found) != 1:
            raise UsageError(
                f"sustained load is of one configuration, and these are {len(found)}",
                hint="Choose with --precision and --threads.",
            )
        if self.count_instructions and (self.mode != "steady" or set(self.threads) != {1}):
            raise UsageError(
                "instructions are counted in one thread, outside of sustained load",
                hint="Leave out --threads and --sustained.",
            )
        return found

    def _of(self, bundle: Bundle) -> list[Configuration]:
        precisions = self.precisions or tuple(bundle.variants)
        for precision in precisions:
            bundle.variant(precision)
        if not precisions:
            raise UsageError(f"{bundle.path}: has no variants")
        return [
            Configuration(bundle, precision, threads, cores, spin, copy)
            for precision in precisions
            for threads in self.threads
            for cores in self.cores
            for spin in self.spin_percents
            for copy in range(1, self.copies + 1)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return what a run's figures depend on, for its record."""
        return {
            **self.method.to_json(),
            "mode": self.mode,
            "max_temp_c": self.max_temp_c,
            "stabilize": self.stabilize,
            "profile": self.profile,
            "count_instructions": self.count_instructions,
        }


def loading_order(count: int, launch: int, seed: int) -> list[int]:
    """Return the order in which a launch loads its configurations: shuffled, and every second time reversed.

    What is loaded last runs a little faster; with its reverse an order favours nobody.
    """
    order = list(range(count))
    random.Random(f"{seed}/{launch // 2}").shuffle(order)  # noqa: S311  (no secret)
    return order if launch % 2 == 0 else order[::-1]


@dataclass(frozen=True)
class RemoteFiles:
    """Where things are on the device.

    `inputs` maps a bundle's path to its samples by blob, `variants` maps that path and a precision to (param, bin).
    """

    binary: str
    inputs: Mapping[Path, Mapping[str, str]]
    variants: Mapping[tuple[Path, str], tuple[str, str]]


def command_line(
    files: RemoteFiles,
    configurations: Sequence[Configuration],
    method: Method | None,
    *,
    dump: str | None = None,
    journal: str | None = None,
    watches: Mapping[str, str] | None = None,
    profile: bool = False,
    mark: bool = False,
    blobs: Sequence[str] | None = None,
) -> list[str]:
    """Return the binary's argv for one launch. Without a method nothing is timed: outputs only.

    `blobs` are what each configuration extracts instead of its bundle's outputs: any of the model's. `mark` marks
    the inferences of `dump`, and of one more each layer (see `instructions`).

    fp32 runs without fp16 arithmetic, so that it is fp32 on phones that could do otherwise; fp16 and int8 run
    with it where the CPU has it. Configurations are named c0, c1, … in the order given.
    """
    argv = [files.binary, "--stream", "1"]
    if journal is not None:
        argv += ["--journal", journal]
    if dump is not None:
        argv += ["--dump", dump]
    if mark:
        argv += ["--mark", "1", "--profile", "1"]
    if method is None:
        argv += ["--warmup", "0", "--min-runs", "0"]
    else:
        argv += ["--warmup", str(method.warmup_runs), "--max-warmup-ms", str(method.max_warmup_ms)]
        argv += ["--min-runs", str(method.min_runs), "--max-runs", str(method.max_runs)]
        argv += ["--min-time-ms", str(method.min_time_ms), "--max-time-ms", str(method.max_time_ms)]
        argv += ["--pace-hz", str(method.pace_hz)]
        argv += ["--seed", str(method.seed)]
        argv += ["--profile", "1"] if profile else []
        for name, path in (watches or {}).items():
            argv += ["--watch", f"{name}={path}"]
    for number, configuration in enumerate(configurations):
        argv += ["--config", f"c{number}", *_configuration_arguments(files, configuration, blobs)]
    return argv


def _configuration_arguments(
    files: RemoteFiles, configuration: Configuration, blobs: Sequence[str] | None
) -> list[str]:
    bundle = configuration.bundle
    param, weights = files.variants[bundle.path, configuration.precision]
    argv = ["--param", param, "--bin", weights]
    for blob, samples in files.inputs[bundle.path].items():
        argv += ["--input", f"{blob}={samples}"]
    for blob in [tensor.blob for tensor in bundle.outputs] if blobs is None else blobs:
        argv += ["--output", blob]
    argv += ["--threads", str(configuration.threads)]
    argv += ["--fp16", "0" if configuration.precision == "fp32" else "1"]
    if configuration.cores is not None:
        argv += ["--cpus", configuration.cores]
    if configuration.spin_percent:
        argv += ["--spin-percent", str(configuration.spin_percent)]
    return argv
