"""In what two runs differ, and whether that matters to a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mobiledeploy.benchmark import Run
from mobiledeploy.compare.rows import Named
from mobiledeploy.errors import UsageError

# What must be the same in both runs, or a difference in time may be another thing's than the network's.
_RUN_MUST_AGREE = {
    "device": ("context", "device", "model"),
    "build fingerprint": ("context", "device", "fingerprint"),
    "host": ("context", "device", "host"),
    "ABI": ("context", "binary", "abi"),
    "ncnn": ("context", "binary", "ncnn"),
    "benchmark binary": ("context", "binary", "sha256"),
    "power": ("context", "power"),
    "mode": ("parameters", "mode"),
    "pace": ("parameters", "pace_hz"),
}
# What differs often and is only told.
_RUN_MAY_DIFFER = {
    "serial": ("context", "device", "serial"),
    "mobiledeploy": ("mobiledeploy",),
    "seed": ("parameters", "seed"),
    "warm-up": ("parameters", "warmup_runs"),
    "least samples": ("parameters", "min_runs"),
    "least time": ("parameters", "min_time_ms"),
}
_ROW_MUST_AGREE = {"affinity": ("affinity",)}
# The same for instructions, which depend on no computer and no clock.
_COUNTED_MUST_AGREE = {
    "ABI": ("context", "binary", "abi"),
    "ncnn": ("context", "binary", "ncnn"),
    "compiler": ("context", "binary", "toolchain"),
}
_COUNTED_MAY_DIFFER = {
    "benchmark binary": ("context", "binary", "sha256"),
    "mobiledeploy": ("mobiledeploy",),
}
_COUNTED_ROW_MUST_AGREE = {"CPU": ("instructions", "cpu")}
_COUNTED_ROW_MAY_DIFFER = {"emulator": ("instructions", "emulator")}


def timing_differences(
    run_a: Run, run_b: Run, pairs: Sequence[tuple[Named, Named]], ignore_context: bool
) -> list[str]:
    """Return how two timed runs differ; UsageError where that matters, unless it is to be ignored."""
    matters = _all_differences(run_a, run_b, pairs, _RUN_MUST_AGREE, _ROW_MUST_AGREE)
    _refuse(matters, ignore_context)
    return matters + _differences(run_a.document, run_b.document, _RUN_MAY_DIFFER)


def count_differences(
    run_a: Run, run_b: Run, pairs: Sequence[tuple[Named, Named]], ignore_context: bool
) -> list[str]:
    """Do the same for runs that counted instructions."""
    matters = _all_differences(run_a, run_b, pairs, _COUNTED_MUST_AGREE, _COUNTED_ROW_MUST_AGREE)
    _refuse(matters, ignore_context)
    return matters + _all_differences(run_a, run_b, pairs, _COUNTED_MAY_DIFFER, _COUNTED_ROW_MAY_DIFFER)


def _all_differences(
    run_a: Run,
    run_b: Run,
    pairs: Sequence[tuple[Named, Named]],
    of_run: Mapping[str, Sequence[str]],
    of_row: Mapping[str, Sequence[str]],
) -> list[str]:
    found = _differences(run_a.document, run_b.document, of_run)
    for (_, entry_a), (_, entry_b) in pairs:
        found += _differences(entry_a, entry_b, of_row)
    return list(dict.fromkeys(found))


def _refuse(matters: Sequence[str], ignore_context: bool) -> None:
    if matters and not ignore_context:
        raise UsageError(
            f"the runs differ in what matters: {'; '.join(matters)}",
            hint="Measure both in the same way, or compare them all the same with --ignore-context.",
        )


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], paths: Mapping[str, Sequence[str]]) -> list[str]:
    found = []
    for name, path in paths.items():
        value_a, value_b = _at(a, path), _at(b, path)
        if value_a != value_b:
            found.append(f"{name} {_brief(value_a)} and {_brief(value_b)}")
    return found


def _at(document: Mapping[str, Any], path: Sequence[str]) -> object:
    value: object = document
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _brief(value: object) -> str:
    """Write a value for a message; hashes and fingerprints are long, and their beginning tells them apart."""
    text = "unknown" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
