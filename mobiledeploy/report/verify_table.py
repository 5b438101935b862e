"""A verification as a table: one row a variant and what it is compared with."""

from __future__ import annotations

from mobiledeploy.report.formats import Table
from mobiledeploy.verify.figures import REFERENCE, VariantFigures, Verification, mean_figures

_COLUMNS = ("precision", "against", "IoU", "worst IoU", "MAE", "SAD", "MSE", "gradient", "edge", "flicker")


def verify_table(verification: Verification) -> Table:
    """Return columns and rows. Figures are means over the pictures, but `worst IoU` and `max error`.

    Without mattes there is one row a variant, with the errors of each output.
    """
    rows = [
        _row(variant, other)
        for other in (REFERENCE, "truth")
        for variant in verification.variants
        if variant.against(other)
    ]
    if not rows:
        return _output_table(verification)
    columns = [column for column in _COLUMNS if verification.clip or column != "flicker"]
    return [*columns, "max error"], rows


def _row(variant: VariantFigures, other: str) -> dict[str, object]:
    entries = [figures for _, figures in variant.against(other)]
    mean = mean_figures(entries)
    row: dict[str, object] = {
        "precision": variant.precision,
        "against": other,
        "IoU": f"{mean.iou:.4f}",
        "worst IoU": f"{min(figures.iou for figures in entries):.4f}",
        "MAE": _short(mean.mae),
        "SAD": _short(mean.sad),
        "MSE": _short(mean.mse),
        "gradient": _short(mean.gradient),
        "edge": _short(mean.edge),
        "flicker": _short(mean.flicker),
    }
    if other == REFERENCE:
        errors = [output.max_abs for entry in variant.pictures for output in entry.outputs.values()]
        row["max error"] = f"{max(errors):.1e}"
    return row


def _output_table(verification: Verification) -> Table:
    names = [tensor.name for tensor in verification.bundle.outputs]
    rows: list[dict[str, object]] = []
    for variant in verification.variants:
        row: dict[str, object] = {"precision": variant.precision}
        for name in names:
            figures = [entry.outputs[name] for entry in variant.pictures]
            row[f"max error of {name}"] = f"{max(entry.max_abs for entry in figures):.1e}"
            row[f"mean error of {name}"] = f"{sum(entry.mean_abs for entry in figures) / len(figures):.1e}"
        rows.append(row)
    return list(rows[0]), rows


def footnotes(verification: Verification) -> list[str]:
    """Return what a reader must know beside the table."""
    variant = verification.variants[-1]
    count = len(variant.pictures)
    where = "of the bundle's own samples" if verification.source == "samples" else f"in {verification.source}"
    notes = [f"{verification.bundle.name}, {count} pictures {where}, on this computer."]
    if verification.bundle.untrained:
        notes.append("Untrained: random weights, so its mattes are not judged.")
    elif verification.bundle.mask is None:
        notes.append("The bundle names no mask, so its outputs alone are compared.")
    else:
        notes.append(
            "Means over the pictures; SAD and gradient in thousands. docs/metrics.md defines each figure."
        )
    if known := len(variant.against("truth")):
        notes.append(f"The truth is known for {known} of them.")
    return notes


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"
