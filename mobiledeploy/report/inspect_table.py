"""A model's facts as a table: one row a layer, a type of layers, or a variant of a bundle; and its graph passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby

from mobiledeploy.report.formats import Table
from mobiledeploy.report.units import megabytes, millions, size
from ncnn_tools.inspect import BlobFacts, LayerFacts, ModelFacts, PassFacts, Totals

_KERNELS = ["fp16", "int8"]
_NOT_IN_FP16 = "no"


def layers_table(model: ModelFacts) -> Table:
    """Return columns and one row a layer in the file's order; the last row is the sum."""
    columns = [
        "layer",
        "type",
        "input",
        "output",
        "parameters",
        "MMAC",
        "weights (KB)",
        "stored",
        "activations (KB)",
    ]
    rows = [
        {
            "layer": layer.name,
            "type": layer.type if layer.known else f"{layer.type} (not in ncnn)",
            "input": _shapes(layer.inputs),
            "output": _shapes(layer.outputs),
            "stored": layer.stored,
            **_kernels([layer]),
            **_cells(Totals.of([layer])),
        }
        for layer in model.layers
    ]
    return _with_kernels(columns, model), [*rows, {"layer": "sum", **_cells(model.totals)}]


def types_table(model: ModelFacts) -> Table:
    """Return columns and one row a layer type, by its multiply-adds; the last row is the sum."""
    columns = [
        "type",
        "layers",
        "parameters",
        "MMAC",
        "share (%)",
        "weights (KB)",
        "stored",
        "activations (KB)",
    ]
    macs = model.totals.macs
    groups = sorted(model.by_type().items(), key=lambda group: -(Totals.of(group[1]).macs or 0))
    rows = []
    for kind, layers in groups:
        totals = Totals.of(layers)
        share = None if not macs or totals.macs is None else f"{100 * totals.macs / macs:.1f}"
        stored = "+".join(sorted({layer.stored for layer in layers if layer.stored}))
        row = {"type": kind, "layers": len(layers), "share (%)": share, "stored": stored}
        rows.append({**row, **_kernels(layers), **_cells(totals)})
    total = {"type": "sum", "layers": len(model.layers), **_cells(model.totals)}
    return _with_kernels(columns, model), [*rows, total]


def variants_table(variants: Mapping[str, ModelFacts]) -> Table:
    """Return columns and one row a variant of a bundle, by precision."""
    columns = ["precision", "layers", "int8 layers", "parameters", "MMAC", "MMAC in int8 (%)"]
    columns += ["weights (M)", "files (M)", "peak activations (M)"]
    return columns, [_variant(precision, model) for precision, model in variants.items()]


def passes_table(passes: Sequence[PassFacts]) -> Table:
    """Return columns and one row a graph pass, in the order in which they run."""
    counted = any(entry.applied is not None for entry in passes)
    return ["pass", "what it does", *(["applied"] if counted else [])], [
        {"pass": entry.name, "what it does": entry.summary, "applied": entry.applied} for entry in passes
    ]


def passes_document(passes: Sequence[PassFacts]) -> list[dict[str, object]]:
    """Return graph passes for `--format json`."""
    return [asdict(entry) for entry in passes]


def model_notes(model: ModelFacts) -> list[str]:
    """Return what a reader must know beside a model's table: its sums, its peak of memory, and what is not known."""
    totals = model.totals
    macs = "" if totals.macs is None else f"{millions(totals.macs)} M multiply-adds, "
    layers = "nodes" if model.kind == "onnx" else "layers"
    notes = [
        f"{totals.layers} {layers}, {totals.parameters} parameters, {macs}{size(totals.weight_bytes)} of "
        f"weights, {size(model.file_bytes)} of files."
    ]
    if model.peak is not None:
        notes.append(
            f"Activations take at most {size(model.peak.bytes)} at once in fp32, while {model.peak.layer!r} "
            "runs; the kernels' own workspace is not in it."
        )
    slow = Counter(layer.type for layer in model.layers if layer.fp16 == _NOT_IN_FP16 and layer.inputs)
    if slow:
        notes.append(
            f"In an fp16 network on ARM these are computed in fp32, and converted around: {_counts(slow)}."
        )
    return notes + list(model.notes)


def variants_notes(variants: Mapping[str, ModelFacts]) -> list[str]:
    """Return what a reader must know beside the table of variants."""
    notes = ["Peak activations are in fp32; the kernels' own workspace is not in them."]
    return notes + [f"{precision}: {note}" for precision, model in variants.items() for note in model.notes]


def _variant(precision: str, model: ModelFacts) -> dict[str, object]:
    totals = model.totals
    int8 = [layer for layer in model.layers if layer.stored == "int8"]
    int8_macs = Totals.of(int8).macs
    return {
        "precision": precision,
        "layers": totals.layers,
        "int8 layers": len(int8),
        "parameters": totals.parameters,
        "MMAC": None if totals.macs is None else millions(totals.macs),
        "MMAC in int8 (%)": f"{100 * int8_macs / totals.macs:.1f}"
        if totals.macs and int8_macs is not None
        else None,
        "weights (M)": megabytes(totals.weight_bytes),
        "files (M)": megabytes(model.file_bytes),
        "peak activations (M)": megabytes(model.peak.bytes) if model.peak else None,
    }


def _with_kernels(columns: list[str], model: ModelFacts) -> list[str]:
    return columns if model.kind == "onnx" else [*columns, *_KERNELS]


def _kernels(layers: Iterable[LayerFacts]) -> dict[str, object]:
    """Return what ncnn's kernels on ARM can do; layers of one type can differ."""
    fp16 = sorted({layer.fp16 for layer in layers if layer.fp16})
    int8 = sorted({"yes" if layer.int8 else "no" for layer in layers if layer.int8 is not None})
    return {"fp16": ", ".join(fp16), "int8": ", ".join(int8)}


def _cells(totals: Totals) -> dict[str, object]:
    return {
        "parameters": totals.parameters,
        "MMAC": None if totals.macs is None else millions(totals.macs),
        "weights (KB)": f"{totals.weight_bytes / 1e3:.1f}",
        "activations (KB)": None
        if totals.activation_bytes is None
        else f"{totals.activation_bytes / 1e3:.1f}",
    }


def _shapes(blobs: Sequence[BlobFacts]) -> str:
    """Write shapes, equal ones in a row once, with their count."""
    runs = [(text, len(list(same))) for text, same in groupby(_shape(blob) for blob in blobs)]
    return ", ".join(text if count == 1 else f"{text} ({count})" for text, count in runs)


def _shape(blob: BlobFacts) -> str:
    if blob.shape is None:
        return "?"
    return "x".join("?" if axis is None else str(axis) for axis in blob.shape) or "scalar"


def _counts(types: Counter[str]) -> str:
    return ", ".join(f"{kind} ({count})" for kind, count in types.most_common())
