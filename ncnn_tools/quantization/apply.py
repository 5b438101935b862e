"""`quantize`: a graph's layers with int8 weights and scales, by the methods that are switched on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, Storage, Weight
from ncnn_tools.quantization import winograd
from ncnn_tools.quantization.bias import correct_bias
from ncnn_tools.quantization.chains import chain, check_chains
from ncnn_tools.quantization.layers import SCALE_TERM, quantizable_layers, weight_rows
from ncnn_tools.quantization.rounding import round_by_moments
from ncnn_tools.quantization.scales import (
    Float32,
    Int8,
    absmax_thresholds,
    mse_thresholds,
    round_half_away,
    to_scales,
)
from ncnn_tools.quantization.statistics import ChannelRanges, InputStatistics

WEIGHT_THRESHOLDS = {"absmax": absmax_thresholds, "mse": mse_thresholds}


@dataclass(frozen=True)
class QuantizeOptions:
    """Which methods `quantize` uses; each works alone.

    `weight_thresholds` is a key of WEIGHT_THRESHOLDS. `rounding` (second moments) and `bias_correction` need
    statistics. `chains` lets convolutions give int8 where every reader takes it. `prefer` says what becomes of a
    winograd layer whose accumulator could overflow: "error" keeps 8 bits and gives up winograd, "speed" keeps
    winograd and narrows the weights of those outputs that need it. `ranges` are those of `collect_ranges`, for a
    tighter bound on the accumulator.
    """

    weight_thresholds: str = "absmax"
    rounding: bool = False
    bias_correction: bool = False
    chains: bool = False
    prefer: str = "error"
    ranges: Mapping[str, ChannelRanges] = field(default_factory=dict)


def quantize(
    graph: Graph,
    thresholds: Mapping[str, float],
    options: QuantizeOptions | None = None,
    statistics: Mapping[str, InputStatistics] | None = None,
) -> Graph:
    """Return a copy whose quantizable layers hold int8 weights and scales.

    `thresholds` gives, for the input blob of each quantizable layer, the |x| that becomes 127 (0 for a blob that
    is always zero). Layers whose input blob is not in it stay as they are. `statistics` are those that
    `collect_input_statistics` found with the same thresholds. Raises GraphError where a method lacks its statistics.
    """
    chosen = options or QuantizeOptions()
    result = graph.copy()
    positive = winograd.positive_blobs(graph)
    for layer in quantizable_layers(result):
        blob = layer.inputs[0]
        if blob in thresholds:
            seen = _statistics_of(layer, chosen, statistics or {})
            _quantize_layer(layer, thresholds[blob], chosen, seen, positive=blob in positive)
    if chosen.chains:
        chain(result)
    check_chains(result)
    return result


def _statistics_of(
    layer: Layer, options: QuantizeOptions, statistics: Mapping[str, InputStatistics]
) -> InputStatistics | None:
    if not (options.rounding or options.bias_correction):
        return None
    if layer.name not in statistics:
        raise GraphError(f"layer {layer.name!r}: no statistics of its input, which rounding and bias need")
    return statistics[layer.name]


def _quantize_layer(
    layer: Layer, threshold: float, options: QuantizeOptions, seen: InputStatistics | None, *, positive: bool
) -> None:
    rows = weight_rows(layer)
    scales = to_scales(WEIGHT_THRESHOLDS[options.weight_thresholds](rows))
    input_scale = to_scales([threshold])
    quantized = _round(rows, scales, options, seen)
    if winograd.runs_winograd(layer):
        bounds = winograd.input_range(positive, float(input_scale[0]), options.ranges.get(layer.inputs[0]))
        excess = _excess(layer, quantized, bounds)
        if (excess > 1).any():
            if options.prefer == "speed":
                scales, quantized = _narrow(layer, rows, scales, bounds, options, seen)
            else:
                winograd.mask_winograd(layer)
    if options.bias_correction and seen is not None:
        correct_bias(layer, rows, quantized, scales, seen)
    store(layer, quantized, scales, input_scale)


def store(layer: Layer, quantized: Int8, scales: Float32, input_scale: Float32) -> None:
    """Make a layer int8: weights (outputs, weights an output), their scales, and one scale of its input."""
    if "pad_value" in layer.schema.params and layer.get("pad_value"):
        # ncnn pads the blob when it is int8 already, with the value as it stands here.
        padding = round_half_away(np.float32(layer.get("pad_value")) * input_scale)
        layer.set("pad_value", float(padding[0]))
    layer.set("int8_scale_term", SCALE_TERM[layer.type])
    layer.weights["weight"] = Weight(quantized.reshape(-1), Storage.INT8)
    layer.set_weight("weight_scales", scales)
    layer.set_weight("input_scale", input_scale)


def keep_out_of_overflow(layer: Layer, quantized: Int8, input_scale: np.float32, *, positive: bool) -> None:
    """Mask winograd for a layer whose accumulator could overflow with these weights; `positive` is of its input."""
    if winograd.runs_winograd(layer):
        bounds = winograd.input_range(positive, float(input_scale), None)
        if (_excess(layer, quantized, bounds) > 1).any():
            winograd.mask_winograd(layer)


def _round(rows: Float32, scales: Float32, options: QuantizeOptions, seen: InputStatistics | None) -> Int8:
    if not options.rounding or seen is None or seen.moments is None:
        return round_half_away(rows * scales[:, None])
    moments = seen.moments / seen.rows
    if options.bias_correction:  # the mean error will be taken off: what is left is the spread
        mean = seen.float_mean + seen.error_mean
        moments = moments - mean[:, :, None] * mean[:, None, :]
    groups = len(moments)
    parts = zip(np.split(rows, groups), np.split(scales, groups), moments, strict=True)
    return np.concatenate([round_by_moments(*part) for part in parts])


def _excess(layer: Layer, quantized: Int8, bounds: winograd.QuantizedRange) -> Float32:
    """Return, for each output, how many times too large its accumulator may become."""
    taps = layer.integer("kernel_w") * layer.integer("kernel_h")
    largest = winograd.largest_accumulators(quantized.reshape(len(quantized), -1, taps), bounds)
    excess: Float32 = (largest / np.float64(winograd.LIMIT)).astype(np.float32)
    return excess


def _narrow(
    layer: Layer,
    rows: Float32,
    scales: Float32,
    bounds: winograd.QuantizedRange,
    options: QuantizeOptions,
    seen: InputStatistics | None,
) -> tuple[Float32, Int8]:
    """Give outputs whose accumulator could overflow coarser weights, until none can."""
    while True:
        quantized = _round(rows, scales, options, seen)
        excess = _excess(layer, quantized, bounds)
        if not (excess > 1).any():
            return scales, quantized
        scales = np.where(excess > 1, scales / (excess * np.float32(1.01)), scales)
