"""A bundle as a table: each variant's size and how far it is from onnxruntime."""

from __future__ import annotations

from mobiledeploy.bundle import Bundle
from mobiledeploy.convert.calibration import calibration_notes
from mobiledeploy.convert.half import half_notes
from mobiledeploy.convert.own_scales import own_scale_notes
from mobiledeploy.report.formats import Table
from mobiledeploy.report.units import megabytes


def bundle_table(bundle: Bundle) -> Table:
    """Return columns and one row a variant; `vs fp32` is the size relative to the fp32 variant's."""
    fp32 = bundle.variants.get("fp32")
    outputs = [tensor.name for tensor in bundle.outputs]
    columns = ["precision", "model size (M)"]
    columns += ["vs fp32"] if fp32 else []
    columns += [f"max error of {name}" for name in outputs]
    mask = bundle.mask is not None and not bundle.untrained
    columns += ["mask IoU"] if mask else []
    rows: list[dict[str, object]] = []
    for variant in bundle.variants.values():
        row: dict[str, object] = {
            "precision": variant.precision,
            "model size (M)": megabytes(variant.size_bytes),
        }
        if fp32:
            row["vs fp32"] = f"{variant.size_bytes / fp32.size_bytes:.2f}"
        for name in outputs:
            row[f"max error of {name}"] = f"{variant.parity['outputs'][name]['max_abs']:.1e}"
        if mask:
            row["mask IoU"] = f"{variant.parity['mask_iou']:.4f}"
        rows.append(row)
    return columns, rows


def footnotes(bundle: Bundle) -> list[str]:
    """Return what a reader must know beside the table: layers kept in fp32, where scales come from, and warnings."""
    calibration = bundle.manifest["calibration"]
    notes = calibration_notes(calibration) if calibration and "file" in calibration else []
    if own := bundle.manifest.get("qdq"):  # older manifests lack the key
        notes = own_scale_notes(own) + notes
    return half_notes(bundle.manifest["variants"]) + notes + _mixed_notes(bundle)


def _mixed_notes(bundle: Bundle) -> list[str]:
    """Say what the mixed variant was chosen by, and how it compares where it was."""
    plan = bundle.manifest["variants"].get("mixed", {}).get("plan")
    if plan is None:
        return []
    wholes = plan.get("wholes", {})
    listed = ", ".join(f"{name} {price:.2f}" for name, price in wholes.items())
    chosen = f"mixed: chosen on {plan['device']['label']}" if "device" in plan else "mixed: by a plan"
    figures = f" ({plan['unit']}: {listed})" if wholes else ""
    return [
        f"{chosen}{figures}; `mobiledeploy inspect --plan {bundle.path}` says why.",
        *plan.get("advice", []),
    ]
