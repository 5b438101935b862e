"""Sets of cores by name, worked out from their highest clocks, as masks for the benchmark binary's `--cpus`.

A cluster is the cores with one highest clock (cpufreq's cpuinfo_max_freq). ncnn's own `powersave=2` takes all
cores above the middle of the clocks instead: it mixes prime and big cores, and the slowest sets the pace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mobiledeploy.device.facts import DeviceFacts
from mobiledeploy.errors import UsageError

NAMES = ("all", "big", "little", "prime")

_MAX_PRIME = 2  # of the known chips with three or more clusters none has more cores in the fastest


@dataclass(frozen=True)
class Cluster:
    """The cores (by number, rising) that share a highest clock in kHz."""

    max_khz: int
    cores: tuple[int, ...]


def clusters(facts: DeviceFacts) -> tuple[Cluster, ...]:
    """Return the clusters, slowest first; cores whose clock isn't known (asleep ones, often) are in none."""
    clocks = sorted({core.max_khz for core in facts.cores if core.max_khz})
    return tuple(
        Cluster(clock, tuple(core.index for core in facts.cores if core.max_khz == clock)) for clock in clocks
    )


def core_mask(facts: DeviceFacts, name: str) -> str:
    """Return a set of cores as hexadecimal digits without a prefix, as the binary prints them too.

    `name` is one of NAMES, a mask such as `0xF0`, or a list such as `4-7` or `0,4-6`. `little` is the slowest
    cluster; `prime` the fastest one of three or more, where it has one or two cores; `big` the clusters above
    the slowest, without `prime`. Raises UsageError, with the clusters there are, for a name that this device
    has no such cores for, for cores that it doesn't have, and for what is none of these forms.
    """
    text = name.strip().lower()
    if text in NAMES:
        cores: Iterable[int] = _named(facts, text)
    elif re.fullmatch(r"0x[0-9a-f]{1,256}", text):
        mask = int(text, 16)
        cores = [index for index in range(mask.bit_length()) if mask >> index & 1]
    else:
        cores = _listed(text)
    return _to_mask(facts, name, cores)


def _named(facts: DeviceFacts, name: str) -> tuple[int, ...]:
    if name == "all":
        return tuple(core.index for core in facts.cores)
    found = clusters(facts)
    if not found:
        raise _no_such_set(facts, name, "it does not tell its cores' clocks")
    if len(found) == 1:
        raise _no_such_set(facts, name, "all its cores have the same highest clock")
    if name == "little":
        return found[0].cores
    has_prime = len(found) > 2 and len(found[-1].cores) <= _MAX_PRIME
    if name == "prime":
        if not has_prime:
            raise _no_such_set(facts, name, "no small cluster stands above its big cores")
        return found[-1].cores
    return tuple(sorted(core for cluster in found[1 : -1 if has_prime else None] for core in cluster.cores))


def _listed(text: str) -> list[int]:
    cores: list[int] = []
    for piece in text.split(","):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", piece.strip(), re.ASCII)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise UsageError(
                f"no set of cores: {text!r}",
                hint=f"Give {', '.join(NAMES)}, a mask such as 0xF0, or a list such as 4-7 or 0,4-6.",
            )
        cores += range(int(match[1]), int(match[2] or match[1]) + 1)
    return cores


def _to_mask(facts: DeviceFacts, name: str, cores: Iterable[int]) -> str:
    wanted = set(cores)
    unknown = sorted(wanted - {core.index for core in facts.cores})
    if unknown:
        raise UsageError(
            f"{facts.serial} has no core {', '.join(map(str, unknown[:8]))}, which {name!r} names",
            hint=_describe(facts),
        )
    if not wanted:
        raise UsageError(f"no core in {name!r} on {facts.serial}", hint=_describe(facts))
    return f"{sum(1 << core for core in wanted):x}"


def _no_such_set(facts: DeviceFacts, name: str, why: str) -> UsageError:
    return UsageError(f"{facts.serial} has no {name!r} cores: {why}", hint=_describe(facts))


def _describe(facts: DeviceFacts) -> str:
    """Write the clusters, one a line, and the cores without a known clock."""
    lines = [f"cores {_write(cluster.cores)}: {cluster.max_khz / 1e6:.2f} GHz" for cluster in clusters(facts)]
    unknown = [core.index for core in facts.cores if not core.max_khz]
    if unknown:
        lines.append(f"cores {_write(unknown)}: clock unknown")
    return "\n".join([*lines, "`all`, and masks (0x3) and lists (0-1) of its cores, always work."])


def _write(cores: Sequence[int]) -> str:
    """Write rising core numbers as in `0-3,6`."""
    runs: list[list[int]] = []
    for core in cores:
        if runs and runs[-1][-1] == core - 1:
            runs[-1].append(core)
        else:
            runs.append([core])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
