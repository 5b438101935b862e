"""int8 winograd, and the weights that its int32 can hold.

ncnn runs a 3x3 convolution of stride 1 as F(4,3) (x86 always, ARM without dotprod): its integer transforms scale
the accumulator by 576 = 24 · 24 before they divide by it (`convolution_3x3_winograd_int8.h`). What wraps around on
the way is harmless, as int32 sums are exact modulo 2^32; the result is right exactly if 576 · |accumulator| < 2^31.
(A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, for the transforms.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.quantization.scales import LEVELS
from ncnn_tools.quantization.statistics import ChannelRanges
from ncnn_tools.schema import FEATURE_MASK_ID, MASK_NO_WINOGRAD, Activation

Int64 = npt.NDArray[np.int64]

LIMIT = (2**31 - 1) // 576  # the largest |accumulator| that is right

# An input may leave the range that calibration saw of its channel; the bound holds up to this many times that range.
_RANGE_MARGIN = 2.0

_NOT_NEGATIVE = {"Sigmoid", "Softmax", "HardSigmoid"}
_KEEP_SIGN = {
    "Split",
    "Pooling",
    "Concat",
    "Dropout",
    "Noop",
    "Flatten",
    "Reshape",
    "ShuffleChannel",
    "PReLU",
}
_KEEP_SIGN |= {"Crop", "Permute", "ReLU"}
_FUSED_NOT_NEGATIVE = (Activation.RELU, Activation.SIGMOID)


@dataclass(frozen=True)
class QuantizedRange:
    """The int8 values that an input can take: `low` and `high`, one a channel or one for all."""

    low: Int64
    high: Int64


def runs_winograd(layer: Layer) -> bool:
    """Return whether ncnn may run a convolution as winograd, on any CPU."""
    return has_winograd(layer) and not layer.feature_mask & MASK_NO_WINOGRAD


def has_winograd(layer: Layer) -> bool:
    """Return whether a layer is one that ncnn's winograd kernels are for: a dense 3x3 convolution of stride 1."""
    if layer.type != "Convolution":
        return False
    shape = [
        layer.get(name)
        for name in ("kernel_w", "kernel_h", "stride_w", "stride_h", "dilation_w", "dilation_h")
    ]
    return shape == [3, 3, 1, 1, 1, 1]


def mask_winograd(layer: Layer) -> None:
    """Tell ncnn not to run a layer as winograd."""
    layer.params[FEATURE_MASK_ID] = layer.feature_mask | MASK_NO_WINOGRAD


def largest_accumulators(quantized: npt.NDArray[np.int8], inputs: QuantizedRange) -> Int64:
    """Bound |accumulator| of each output over all inputs in a range; `quantized` is (outputs, channels, taps)."""
    weights = quantized.astype(np.int64)
    positive = np.maximum(weights, 0).sum(axis=2)
    negative = np.minimum(weights, 0).sum(axis=2)
    highest = (positive * inputs.high + negative * inputs.low).sum(axis=1)
    lowest = (positive * inputs.low + negative * inputs.high).sum(axis=1)
    bound: Int64 = np.maximum(np.abs(highest), np.abs(lowest))
    return bound


def input_range(positive: bool, scale: float, seen: ChannelRanges | None) -> QuantizedRange:
    """Return the int8 values that an input can take.

    `positive` says that it is never negative, `seen` what calibration saw of each channel.
    Padding adds zeros, so zero is always in the range.
    """
    floor = 0 if positive else -LEVELS
    if seen is None:
        return QuantizedRange(np.array([floor]), np.array([LEVELS]))
    low, high = (
        np.clip(np.round(values * scale * _RANGE_MARGIN), -LEVELS, LEVELS) for values in (seen.low, seen.high)
    )
    return QuantizedRange(
        np.maximum(np.minimum(low, 0), floor).astype(np.int64), np.maximum(high, 0).astype(np.int64)
    )


def positive_blobs(graph: Graph) -> set[str]:
    """Return the blobs that are never negative, whatever the input: behind a ReLU, a sigmoid, a clip from 0 up."""
    positive: set[str] = set()
    for layer in graph.layers:
        carried = layer.type in _KEEP_SIGN and bool(layer.inputs) and positive.issuperset(layer.inputs)
        if carried or _is_positive(layer):
            positive.update(layer.outputs)
    return positive


def _is_positive(layer: Layer) -> bool:
    if layer.type in _NOT_NEGATIVE:
        return True
    if layer.type == "ReLU":
        return layer.params.get(0, 0.0) == 0
    if layer.type == "Clip":
        low = layer.params.get(0)
        return isinstance(low, float) and low >= 0
    if "activation_type" not in layer.schema.params:
        return False
    if layer.get("activation_type") == Activation.CLIP:
        return _lower_bound(layer.get("activation_params")) >= 0
    return layer.get("activation_type") in _FUSED_NOT_NEGATIVE


def _lower_bound(params: object) -> float:
    return float(params[0]) if isinstance(params, tuple) and params else -1.0
