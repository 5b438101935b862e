"""A plan as a table: what layers of a mixed variant run in, what that saved, what it costs in error, and why."""

from __future__ import annotations

from mobiledeploy.mixed import Plan
from mobiledeploy.report.formats import Table

_UNITS = {"ms": "ms", "million instructions": "M instructions"}


def plan_table(plan: Plan) -> Table:
    """Return columns, one row for each layer that has a choice, and one for all others together.

    An edited plan may lack all but the choices.
    """
    unit = _UNITS.get(str(plan.document.get("unit")), "")
    before, after = (f"{name} ({unit})" if unit else name for name in ("before", "after"))
    columns = ["layer", "type", "precision", "algorithms", before, after, "error share (%)", "why"]
    rows: list[dict[str, object]] = []
    for entry in plan.layers:
        if not entry.get("has_choice", True):
            continue
        choice = plan.choices[entry["name"]]
        rows.append(
            {
                "layer": entry["name"],
                "type": entry.get("type", ""),
                "precision": choice.precision,
                "algorithms": choice.algorithms or "any",
                before: _number(entry.get("before"), 3),
                after: _number(entry.get("after"), 3),
                "error share (%)": _number(entry.get("error_share"), 1, 100),
                "why": str(entry.get("why", "")),
            }
        )
    others = [entry for entry in plan.layers if not entry.get("has_choice", True)]
    if others:
        sums = {name: sum(entry.get(name, 0.0) for entry in others) for name in ("before", "after")}
        rows.append(
            {
                **dict.fromkeys(columns, ""),
                "layer": f"{len(others)} layers without a choice",
                before: _number(sums["before"], 3),
                after: _number(sums["after"], 3),
            }
        )
    return columns, rows


def plan_notes(plan: Plan) -> list[str]:
    """Return what a reader must know beside the table, from what the plan says of itself."""
    document = plan.document
    notes = []
    if device := document.get("device"):
        notes.append(f"Made for {device.get('label')}, {_threads(document.get('threads', 1))}.")
    if wholes := document.get("wholes"):
        unit = _UNITS.get(str(document.get("unit")), "")
        listed = ", ".join(f"{name} {price:.2f}" for name, price in wholes.items())
        notes.append(f"Whole network ({unit}): {listed}.")
    if (bound := document.get("bound")) and (figures := document.get("figures", {}).get("mixed")):
        kept = (
            f"{name.replace('_', ' ')} {limit:g} (here {figures[name]['mean']:.4g})"
            for name, limit in bound.items()
            if "mean" in figures.get(name, ())
        )
        notes.append(f"Bound on the mean over the calibration inputs, against fp32: {', '.join(kept)}.")
    if apart := plan.rewriting.apart:
        notes.append(f"Grouped convolutions taken apart, for int8: {', '.join(apart)}.")
    if widths := plan.rewriting.widths:
        listed = ", ".join(f"{name} to {width}" for name, width in widths.items())
        notes.append(f"Channels padded with zeros: {listed}.")
    return [*notes, *map(str, document.get("advice", ()))]


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _number(value: object, digits: int, factor: float = 1) -> str:
    return f"{value * factor:.{digits}f}" if isinstance(value, (int, float)) else ""
