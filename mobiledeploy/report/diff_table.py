"""A comparison of two models as a table: one row a tensor, in order of computation."""

from __future__ import annotations

import math

from mobiledeploy.diff.comparison import Comparison, Row
from mobiledeploy.diff.source import Intermediate
from mobiledeploy.report.formats import Table

_COLUMNS = (
    *("#", "layer", "type", "tensor", "module", "shape"),
    *("max abs", "relative", "cosine", "SNR (dB)", "lost (dB)", "note"),
)


def diff_table(comparison: Comparison, *, worst: int, everything: bool) -> Table:
    """Return columns and rows: the first bad tensor, the outputs and the `worst` by SNR, or everything.

    With everything also those that have no counterpart. What was searched for on a device is shown as far as it was
    measured.
    """
    with_modules = comparison.reference.kind == "torch"
    columns = [column for column in _COLUMNS if with_modules or column != "module"]
    shown = comparison.rows if everything or not comparison.complete else _chosen(comparison, worst)
    rows = [_row(row) for row in shown]
    if everything:
        matching = comparison.matching
        for tensors, label in (
            (matching.only_reference, comparison.reference.label),
            (matching.only_candidate, comparison.candidate.label),
        ):
            rows += [_unmatched(tensor, label) for tensor in tensors]
    return columns, rows


def _chosen(comparison: Comparison, worst: int) -> list[Row]:
    by_snr = sorted(comparison.rows, key=lambda row: row.figures.snr_db if row.figures else -math.inf)
    places = {row.place for row in by_snr[:worst]}
    places |= {row.place for row in comparison.rows if row.pair.is_output}
    if first := comparison.first_bad:
        places.add(first.place)
    return [row for row in comparison.rows if row.place in places]


def _row(row: Row) -> dict[str, object]:
    pair, figures = row.pair, row.figures
    values: dict[str, object] = {
        "#": row.place + 1,
        "layer": pair.candidate.layer,
        "type": pair.candidate.type,
        "tensor": pair.reference.name,
        "module": pair.reference.layer,
        "shape": "x".join(str(extent) for extent in row.shapes[1]) or "scalar",
        "note": ", ".join(_remarks(row)),
    }
    if figures is not None:
        values |= {
            "max abs": f"{figures.max_abs:.2g}",
            "relative": f"{figures.relative:.2g}",
            "cosine": f"{figures.cosine:.6f}",
            "SNR (dB)": f"{figures.snr_db:.1f}",
            "lost (dB)": None if row.lost_db is None else f"{row.lost_db:.1f}",
        }
    return values


def _remarks(row: Row) -> list[str]:
    remarks = ["output"] if row.pair.is_output else []
    if row.first:
        remarks.append("bad, its inputs are good")
    elif row.bad:
        remarks.append("bad")
    if row.pair.by == "order":
        remarks.append("matched by order")
    return remarks


def _unmatched(tensor: Intermediate, label: str) -> dict[str, object]:
    return {
        "layer": tensor.layer,
        "type": tensor.type,
        "tensor": tensor.name,
        "module": tensor.layer,
        "note": f"only in {label}",
    }


def footnotes(comparison: Comparison) -> list[str]:
    """Return what a reader must know beside the table, the first bad layer at the end."""
    return [_counts(comparison), *comparison.notes, *_findings(comparison)]


def _counts(comparison: Comparison) -> str:
    matching = comparison.matching
    measured, matched = len(comparison.rows), len(matching.pairs)
    what = f"all {matched}" if measured == matched else f"{measured} of {matched}"
    return (
        f"{comparison.candidate.label} against {comparison.reference.label} on {comparison.input}: {what} matched "
        f"tensors; {len(matching.only_reference)} of the reference and {len(matching.only_candidate)} of the other "
        "have no counterpart (fused or rewritten). The bound: " + f"{comparison.bound}."
    )


def _findings(comparison: Comparison) -> list[str]:
    found = [row for row in comparison.rows if row.first]
    if not found:
        outside = "" if comparison.complete else " Errors that do not reach an output are found with --all."
        return [("All of these are" if comparison.passed else "No") + " within the bound." + outside]
    others = [f"Also {_name(row)}: {row.cause}." for row in found[1:] if row.cause]
    rest = len(found) - 1 - len(others)
    are = (
        "tensor is bad though its inputs are good"
        if rest == 1
        else "tensors are bad though their inputs are good"
    )
    return [first_bad_text(found[0]), *others, *([f"{rest} more {are}."] if rest else [])]


def first_bad_text(row: Row) -> str:
    """Say which layer is the first bad one, and why if that is known."""
    return f"First bad layer: {_name(row)}. Likely cause: {row.cause or 'not known'}."


def _name(row: Row) -> str:
    pair = row.pair
    return f"{pair.candidate.layer} ({pair.candidate.type}), which gives {pair.reference.name}"
