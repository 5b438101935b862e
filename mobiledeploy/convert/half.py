"""Layers that fp16 breaks on phones, found here by emulation: they compute in fp32 in the fp16 and int8 variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mobiledeploy.convert.check import VariantCheck
from mobiledeploy.errors import ConversionError
from mobiledeploy.progress import Progress
from ncnn_tools.errors import NcnnToolsError
from ncnn_tools.graph import Graph
from ncnn_tools.half_precision import HalfMask, find_half_masks
from ncnn_tools.schema import MASK_NO_FP16_STORAGE

_NAMED = 3  # layers that a footnote names


def half_masks(graph: Graph, check: VariantCheck, progress: Progress) -> list[HalfMask]:
    """Run the float graph as an fp16 phone would, on the kept samples; returns the layers to keep out of fp16.

    Raises ConversionError where a layer can't be run alone.
    """
    progress("looking for what fp16 breaks", 0, 0)
    count = len(next(iter(check.samples.values())))
    samples = [
        {check.inputs[name]: arrays[number] for name, arrays in check.samples.items()}
        for number in range(count)
    ]
    try:
        return find_half_masks(graph, samples)
    except NcnnToolsError as error:
        raise ConversionError(f"fp16 can't be emulated: {error}", hint=check.advice) from error


def half_facts(masks: Sequence[HalfMask]) -> list[dict[str, str]]:
    """Say in the manifest which layers compute in fp32, whether they take and give it too, and why."""
    return [
        {
            "layer": mask.layer,
            "storage": "fp32" if mask.bits & MASK_NO_FP16_STORAGE else "fp16",
            "reason": mask.reason,
        }
        for mask in masks
    ]


def half_notes(variants: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Put what `half_facts` says of a bundle's variants into a line for a reader of its table; none without masks."""
    # Bundles from before there were masks lack the key.
    masked = {name: entry["fp32_layers"] for name, entry in variants.items() if entry.get("fp32_layers")}
    if not masked:
        return []
    layers = next(iter(masked.values()))
    named = ", ".join(f"{entry['layer']} ({entry['reason']})" for entry in layers[:_NAMED])
    more = f", and {len(layers) - _NAMED} more (manifest.json has them)" if len(layers) > _NAMED else ""
    count = "1 layer computes" if len(layers) == 1 else f"{len(layers)} layers compute"
    return [f"{', '.join(masked)}: {count} in fp32 on phones too, as fp16 breaks them: {named}{more}."]
