"""A profile as a table: one row a layer, the longest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mobiledeploy.profile.record import Profile
from mobiledeploy.report.formats import Table

# By how much the sum of the layers may differ from the whole before the reader is warned.
TOLERANCE = 0.05

_COLUMNS = [
    "layer",
    "type",
    "output",
    "arithmetic",
    "median (ms)",
    "mean (ms)",
    "share (%)",
    "MMAC",
    "KB",
    "GMAC/s",
    "GB/s",
    "roofline (%)",
    "bound",
]


def profile_table(profile: Profile, top: int | None = None) -> Table:
    """Return columns and one row a layer by its share; with `top` the rest is one row. The last row is the total."""
    layers = sorted(profile.layers, key=lambda layer: -float(layer["mean_ms"]))
    shown = layers if top is None else layers[:top]
    rows = [_row(layer) for layer in shown]
    if rest := layers[len(shown) :]:
        rows.append(_sum_row(f"{len(rest)} more", rest))
    totals = profile.totals
    share = totals["outputs_ms"] / totals["sum_ms"]
    rows.append({"layer": "bringing the outputs out"} | _times(None, totals["outputs_ms"], share))
    total = _cells(totals) | _times(totals["medians_ms"], totals["sum_ms"], 1.0)
    return _COLUMNS, [*rows, {"layer": "sum"} | total]


def profile_notes(profile: Profile) -> list[str]:
    """Return what a reader must know beside the table: how the sum and the whole agree, and the device's limits."""
    document, totals = profile.document, profile.totals
    peaks = ", ".join(f"{name} {gmacs:.3g}" for name, gmacs in document["roofline"]["peak_gmacs"].items())
    speeds = ", ".join(
        f"{entry['gbs']:.3g} ({_size(entry['bytes'])})" for entry in document["roofline"]["bandwidth_gbs"]
    )
    notes = [
        f"{document['model']} {document['precision']}, {_threads(document['threads'])}, on "
        f"{document['context']['device']['label']}.",
        f"An inference without clocks takes {totals['whole_ms']:.4g} ms, with a clock behind each layer "
        f"{totals['profiled_ms']:.4g} ms; the sum is {totals['difference']:+.1%} from the first.",
        f"The device's limits. GMAC/s: {peaks}. GB/s by working set: {speeds}.",
    ]
    if abs(totals["difference"]) > TOLERANCE:
        notes.append(
            f"That is more than {TOLERANCE:.0%}: the device was busy with other things, or its clock changed. "
            "Measure again."
        )
    return notes


def _row(layer: Mapping[str, Any]) -> dict[str, object]:
    shapes = ", ".join("x".join(map(str, blob["shape"])) for blob in layer["outputs"][:1])
    more = len(layer["outputs"]) - 1
    return {
        "layer": layer["name"],
        "type": layer["type"],
        "output": f"{shapes} (and {more} more)" if more > 0 else shapes,
        "arithmetic": layer["arithmetic"],
        "bound": layer["bound"],
        **_times(layer["median_ms"], layer["mean_ms"], layer["share"]),
        **_cells(layer),
    }


def _sum_row(name: str, layers: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Return one row for several layers; speeds of a mixture say nothing."""
    median_ms, mean_ms, share, macs, size = (
        sum(layer[key] for layer in layers) for key in ("median_ms", "mean_ms", "share", "macs", "bytes")
    )
    return {"layer": name} | _times(median_ms, mean_ms, share) | _cells({"macs": macs, "bytes": size})


def _times(median_ms: float | None, mean_ms: float, share: float) -> dict[str, object]:
    return {
        "median (ms)": None if median_ms is None else f"{median_ms:.4f}",
        "mean (ms)": f"{mean_ms:.4f}",
        "share (%)": f"{100 * share:.1f}",
    }


def _cells(figures: Mapping[str, Any]) -> dict[str, object]:
    def number(key: str, factor: float = 1.0) -> str | None:
        value = figures.get(key)
        return None if value is None else f"{factor * value:.1f}"

    return {
        "MMAC": f"{figures['macs'] / 1e6:.2f}",
        "KB": f"{figures['bytes'] / 1e3:.1f}",
        "GMAC/s": number("gmacs"),
        "GB/s": number("gbs"),
        "roofline (%)": number("roofline", 100),
    }


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
