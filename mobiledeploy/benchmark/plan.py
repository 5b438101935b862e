"""What to run on the device: configurations, how long to measure, and the binary's command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from mobiledeploy.bundle import Bundle
from mobiledeploy.errors import UsageError


@dataclass(frozen=True)
class Method:
    """How long to measure each configuration: until both `min_runs` and `min_time_ms` are reached.

    `max_time_ms` bounds the wall time of all configurations together; 0 is no bound. `seed` orders the
    configurations within each round.
    """

    warmup_runs: int = 10
    min_runs: int = 50
    min_time_ms: int = 2000
    max_time_ms: int = 0
    seed: int = 1

    def to_json(self) -> dict[str, int]:
        """Return it for the run's record."""
        return asdict(self)


@dataclass(frozen=True)
class Configuration:
    """A variant and how it runs. `name` names it in the binary's output and dumped files."""

    precision: str
    threads: int

    @property
    def name(self) -> str:
        """A name of letters, digits and hyphens."""
        return f"{self.precision}-{self.threads}t"


@dataclass(frozen=True)
class Plan:
    """What a benchmark covers: precisions (None: all that a bundle has), thread counts, and the method."""

    precisions: tuple[str, ...] | None = None
    threads: tuple[int, ...] = (1,)
    method: Method = Method()
    timeout_s: float = 900.0

    def configurations(self, bundle: Bundle) -> list[Configuration]:
        """Return the configurations for a bundle; UsageError where it lacks a variant."""
        precisions = self.precisions or tuple(bundle.variants)
        for precision in precisions:
            bundle.variant(precision)
        if not precisions:
            raise UsageError(f"{bundle.path}: has no variants")
        return [Configuration(precision, threads) for precision in precisions for threads in self.threads]


@dataclass(frozen=True)
class RemoteFiles:
    """Where a bundle's files are on the device: input samples by blob, and (param, bin) by precision."""

    binary: str
    inputs: Mapping[str, str]
    variants: Mapping[str, tuple[str, str]]


def command_line(
    files: RemoteFiles,
    configurations: Sequence[Configuration],
    outputs: Sequence[str],
    method: Method | None,
    dump: str,
) -> list[str]:
    """Return the binary's argv. Without a method nothing is timed: outputs only.

    fp32 runs without fp16 arithmetic, so that it is fp32 on phones that could do otherwise; fp16 and int8 run
    with it where the CPU has it.
    """
    argv = [files.binary, "--dump", dump]
    for blob, path in files.inputs.items():
        argv += ["--input", f"{blob}={path}"]
    for blob in outputs:
        argv += ["--output", blob]
    if method is None:
        argv += ["--warmup", "0", "--min-runs", "0"]
    else:
        argv += ["--warmup", str(method.warmup_runs), "--min-runs", str(method.min_runs)]
        argv += ["--min-time-ms", str(method.min_time_ms), "--max-time-ms", str(method.max_time_ms)]
        argv += ["--seed", str(method.seed)]
    for configuration in configurations:
        param, weights = files.variants[configuration.precision]
        argv += ["--config", configuration.name, "--param", param, "--bin", weights]
        argv += ["--threads", str(configuration.threads)]
        argv += ["--fp16", "0" if configuration.precision == "fp32" else "1"]
    return argv
