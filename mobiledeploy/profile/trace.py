"""A profile as a timeline, for Perfetto (ui.perfetto.dev) and chrome://tracing.

The format is Chrome's JSON trace: Duca, Sinclair, "Trace Event Format", as Perfetto documents it in "Visualizing
external trace formats" (perfetto.dev/docs). An event of phase X has its start `ts` and length `dur` in µs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mobiledeploy.profile.record import Profile
from ncnn_tools.files import write_atomically

INFERENCES = 10  # of the first launch: enough to see what is the same in each, and what is not

_IDS = {"pid": 1, "tid": 1}


def trace_events(profile: Profile, inferences: int = INFERENCES) -> dict[str, Any]:
    """Return the first launch's first inferences as a trace: those with their layers, and the plain ones between."""
    document = profile.document
    profiled = _first(document["samples"]["profiled"], inferences)
    plain = _first(document["samples"]["plain"], inferences)
    origin_ms = min(sample["started_ms"] for sample in [*profiled, *plain])
    events: list[dict[str, Any]] = [
        _name(
            "process_name",
            f"{document['model']} {document['name']} on {document['context']['device']['label']}",
        ),
        _name("thread_name", "inferences"),
    ]
    for sample in plain:
        start_ms = sample["started_ms"] - origin_ms
        events.append(_slice(f"inference {sample['round']}, plain", start_ms, sample["times_ms"], {}))
    for sample in profiled:
        start_ms = sample["started_ms"] - origin_ms
        events.append(_slice(f"inference {sample['round']}", start_ms, sample["whole_ms"], {}))
        events.extend(_layers(profile, start_ms, sample["times_ms"]))
    return {"displayTimeUnit": "ms", "traceEvents": events}


def write_trace(profile: Profile, path: Path) -> None:
    """Write a profile's trace, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(trace_events(profile)).encode())


def _first(samples: Mapping[str, list[Any]], count: int) -> list[dict[str, Any]]:
    """Turn columns into the first launch's first rows."""
    rows = [dict(zip(samples, values, strict=True)) for values in zip(*samples.values(), strict=True)]
    return [row for row in rows if row["launch"] == 0][:count]


def _layers(profile: Profile, start_ms: float, times_ms: list[float]) -> Iterator[dict[str, Any]]:
    """Yield a slice for each layer; they lie back to back."""
    for layer, time_ms in zip(profile.layers, times_ms, strict=True):
        arguments = {
            "type": layer["type"],
            "inputs": _shapes(layer["inputs"]),
            "outputs": _shapes(layer["outputs"]),
            "arithmetic": layer["arithmetic"],
            "MACs": layer["macs"],
            "bytes": layer["bytes"],
            "GMAC/s": layer["macs"] / time_ms / 1e6 if time_ms else None,
            "median (ms)": layer["median_ms"],
            "roofline": layer["roofline"],
        }
        yield _slice(layer["name"], start_ms, time_ms, arguments)
        start_ms += time_ms


def _shapes(blobs: list[dict[str, Any]]) -> str:
    return ", ".join(f"{'x'.join(map(str, blob['shape']))} of {blob['elembits']} bits" for blob in blobs)


def _slice(name: str, start_ms: float, time_ms: float, arguments: dict[str, Any]) -> dict[str, Any]:
    kind = str(arguments.get("type", "inference"))
    return {
        "ph": "X",
        "name": name,
        "cat": kind,
        "ts": start_ms * 1e3,
        "dur": time_ms * 1e3,
        **_IDS,
        "args": arguments,
    }


def _name(of: str, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": of, **_IDS, "args": {"name": name}}
