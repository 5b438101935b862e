"""int8: which layers can take it, and their weights and scales.

A scale multiplies: q = clamp(round(x · scale), ±127), scale = 127 / threshold. Weights have one scale an output
channel (a group, for depthwise convolution), activations one a blob. A layer takes float in and gives float out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer, Storage, Weight
from ncnn_tools.schema import FEATURE_MASK_ID, MASK_NO_WINOGRAD

LEVELS = 127  # int8 is used symmetrically: -127..127

# int8_scale_term: 2 for Convolution and InnerProduct, 1 for depthwise with a scale a group (as upstream writes).
_SCALE_TERM = {"Convolution": 2, "InnerProduct": 2, "ConvolutionDepthWise": 1}

# The output transform of int8 winograd F(4,3) divides an int32 by 576, so accumulators beyond this overflow.
_WINOGRAD_LIMIT = 2**31 / 576


def quantizable_layers(graph: Graph) -> list[Layer]:
    """Return the layers that run in int8 and give right results there.

    Grouped convolutions that are not depthwise are left out: ncnn computes them wrongly with packing on x86.
    """
    return [layer for layer in graph.layers if layer.type in _SCALE_TERM and _can_quantize(layer)]


def _can_quantize(layer: Layer) -> bool:
    if "weight" not in layer.weights or layer.get("int8_scale_term"):
        return False
    if layer.type != "ConvolutionDepthWise":
        return True
    return bool(
        layer.get("group") == layer.get("num_output") == layer.get("weight_data_size") // _kernel_size(layer)
    )


def _kernel_size(layer: Layer) -> int:
    return int(layer.get("kernel_w") * layer.get("kernel_h"))


def quantize(graph: Graph, thresholds: Mapping[str, float]) -> Graph:
    """Return a copy whose quantizable layers hold int8 weights and scales.

    `thresholds` gives, for the input blob of each quantizable layer, the |x| that becomes 127 (0 for a blob that
    is always zero). Layers whose input blob is not in it stay as they are.
    """
    result = graph.copy()
    for layer in quantizable_layers(result):
        if layer.inputs[0] in thresholds:
            _quantize_layer(layer, thresholds[layer.inputs[0]])
    return result


def _quantize_layer(layer: Layer, input_threshold: float) -> None:
    channels = layer.get("num_output")
    weight = layer.weights["weight"].values().reshape(channels, -1)
    scales = _scales(np.abs(weight).max(axis=1))
    quantized = round_half_away(weight * scales[:, None])
    layer.set("int8_scale_term", _SCALE_TERM[layer.type])
    layer.weights["weight"] = Weight(quantized.reshape(-1), Storage.INT8)
    layer.set_weight("weight_scales", scales)
    layer.set_weight("input_scale", _scales(np.array([input_threshold], np.float32)))
    if _runs_winograd(layer) and _largest_accumulator(quantized) >= _WINOGRAD_LIMIT:
        layer.params[FEATURE_MASK_ID] = layer.feature_mask | MASK_NO_WINOGRAD


def _scales(thresholds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """127 / threshold; 1 where the values are all zero, or too small for the quotient to be finite."""
    with np.errstate(divide="ignore", over="ignore"):
        scales = np.float32(LEVELS) / thresholds.astype(np.float32)
    finite: npt.NDArray[np.float32] = np.where(np.isfinite(scales), scales, np.float32(1))
    return finite


def round_half_away(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """Round as ncnn does (`float2int8`: half away from zero, clamped to ±127)."""
    rounded = np.trunc(values + np.copysign(np.float32(0.5), values))
    clamped: npt.NDArray[np.int8] = np.clip(rounded, -LEVELS, LEVELS).astype(np.int8)
    return clamped


def _runs_winograd(layer: Layer) -> bool:
    if layer.type != "Convolution":
        return False
    shape = [
        layer.get(name)
        for name in ("kernel_w", "kernel_h", "stride_w", "stride_h", "dilation_w", "dilation_h")
    ]
    return shape == [3, 3, 1, 1, 1, 1]


def _largest_accumulator(quantized: npt.NDArray[np.int8]) -> int:
    """Bound |accumulator| over all inputs: every input at ±127 with the sign of its weight."""
    return LEVELS * int(np.abs(quantized.astype(np.int64)).sum(axis=1).max())
