"""From the times of layers to figures: shares, speeds, and how near each comes to the device's roofline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mobiledeploy.profile.roofline import Roofline
from ncnn_tools.cost import CONVOLUTIONS, BlobSize, Cost, layer_cost
from ncnn_tools.graph import Graph, Layer

Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LayerFigures:
    """One layer: its time in ms and share of the whole, its cost, and what it achieves.

    `median_ms` is over all inferences, and what the speeds are of. `mean_ms` is over the middle half of them by their
    whole time: an interruption hits most inferences somewhere but each layer seldom, so that medians sum to less than
    the whole on a busy device, while these means sum up. `share` is of the means.

    `arithmetic` is what it computes in (fp32, fp16, int8). `gmacs` (10^9 multiply-adds a second) and `gbs` (10^9
    bytes a second) are None where there are none. `roofline` is the least time that the device allows over the time
    that it took, `bound` what sets that least time; both None for a layer that has nothing to do. Shapes are ncnn's
    (channels first, no batch), one a blob, and the bits of one value.
    """

    name: str
    type: str
    median_ms: float
    mean_ms: float
    share: float
    arithmetic: str
    macs: int
    bytes: int
    weight_bytes: int
    gmacs: float | None
    gbs: float | None
    roofline: float | None
    bound: str | None
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return it for the profile's document."""
        return asdict(self)


@dataclass(frozen=True)
class Totals:
    """The sum of the layers beside the whole, in ms.

    `medians_ms` and `layers_ms` sum the layers' medians and means, `outputs_ms` is the mean of what an inference does
    after its last layer (bringing the outputs out), `sum_ms` is layers_ms with it. `whole_ms` is the median of
    inferences without clocks, `profiled_ms` of those with them. `difference` is sum_ms / whole_ms - 1. `roofline` is
    the least time of all layers over `whole_ms`.
    """

    medians_ms: float
    layers_ms: float
    outputs_ms: float
    sum_ms: float
    profiled_ms: float
    whole_ms: float
    difference: float
    macs: int
    convolution_macs: int
    bytes: int
    gmacs: float
    gbs: float
    roofline: float

    def to_json(self) -> dict[str, Any]:
        """Return it for the profile's document."""
        return asdict(self)


def profile_figures(
    entry: Mapping[str, Any], graph: Graph, roofline: Roofline
) -> tuple[list[LayerFigures], Totals]:
    """Return the figures of a run's entry that has `layers`, in the order in which they ran, and their totals."""
    measured = entry["layers"]
    times = np.asarray(measured["times_ms"], np.float64)  # (inferences, layers)
    whole_ms = float(np.median(entry["times_ms"]))
    wholes = np.asarray(measured["whole_ms"], np.float64)
    middle = _middle_half(wholes)
    medians, means = np.median(times, axis=0), times[middle].mean(axis=0)
    sum_ms = float(wholes[middle].mean())
    by_name = {layer.name: layer for layer in graph.layers}
    layers = [
        _layer_figures(by_name[ran["name"]], ran, float(median), float(mean), sum_ms, roofline)
        for ran, median, mean in zip(measured["network"], medians, means, strict=True)
    ]
    macs, size = sum(layer.macs for layer in layers), sum(layer.bytes for layer in layers)
    totals = Totals(
        medians_ms=float(medians.sum()),
        layers_ms=float(means.sum()),
        outputs_ms=sum_ms - float(means.sum()),
        sum_ms=sum_ms,
        profiled_ms=float(np.median(wholes)),
        whole_ms=whole_ms,
        difference=sum_ms / whole_ms - 1,
        macs=macs,
        convolution_macs=sum(layer.macs for layer in layers if layer.type in CONVOLUTIONS),
        bytes=size,
        gmacs=macs / whole_ms / 1e6,
        gbs=size / whole_ms / 1e6,
        roofline=sum(layer.roofline * layer.median_ms for layer in layers if layer.roofline) / whole_ms,
    )
    return layers, totals


def _middle_half(values: Times) -> npt.NDArray[np.intp]:
    """Return the indexes of the values between the quartiles; of all where there are fewer than four."""
    quarter = len(values) // 4
    return np.argsort(values, kind="stable")[quarter : len(values) - quarter]


def _layer_figures(
    layer: Layer,
    ran: Mapping[str, Any],
    median_ms: float,
    mean_ms: float,
    sum_ms: float,
    roofline: Roofline,
) -> LayerFigures:
    arithmetic = _arithmetic(layer, ran["inputs"], roofline)
    cost = _cost(layer, ran, arithmetic)
    limit = roofline.limit(cost.macs, cost.bytes, arithmetic)
    return LayerFigures(
        name=layer.name,
        type=layer.type,
        median_ms=median_ms,
        mean_ms=mean_ms,
        share=mean_ms / sum_ms,
        arithmetic=arithmetic,
        macs=cost.macs,
        bytes=cost.bytes,
        weight_bytes=cost.weight_bytes,
        gmacs=cost.macs / median_ms / 1e6 if cost.macs and median_ms else None,
        gbs=cost.bytes / median_ms / 1e6 if cost.bytes and median_ms else None,
        roofline=limit.time_ms / median_ms if limit and median_ms else None,
        bound=limit.bound if limit else None,
        inputs=ran["inputs"],
        outputs=ran["outputs"],
    )


def _arithmetic(layer: Layer, inputs: Sequence[Mapping[str, Any]], roofline: Roofline) -> str:
    """Return what a layer computes in: int8 if it is quantized, fp16 if it got fp16 and the CPU can, else fp32."""
    if layer.schema.int8 and layer.integer("int8_scale_term"):
        return "int8"
    if "fp16" in roofline.peaks and any(blob["elembits"] == 16 for blob in inputs):
        return "fp16"
    return "fp32"


def _cost(layer: Layer, ran: Mapping[str, Any], arithmetic: str) -> Cost:
    inputs, outputs = (
        [BlobSize(tuple(blob["shape"]), blob["elembits"]) for blob in ran[side]]
        for side in ("inputs", "outputs")
    )
    # ncnn keeps weights in the type that a layer's input has, or as int8.
    weight_bits = 8 if arithmetic == "int8" else inputs[0].bits if inputs else 32
    return layer_cost(layer, inputs, outputs, weight_bits)
