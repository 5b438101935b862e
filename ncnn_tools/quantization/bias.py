"""Bias correction: what quantizing shifts a layer's output by on average, taken off its bias.

The output is W·x + b; with quantized weights and inputs its mean moves by Wq·E[xq] - W·E[x]. M. Nagel et al.,
"Data-free quantization through weight equalization and bias correction", ICCV 2019, section 4.2; here E is measured
on calibration samples, so it holds the shift of the input (clipping, rounding) as well as that of the weights.
"""

from __future__ import annotations

import numpy as np

from ncnn_tools.graph import Layer
from ncnn_tools.quantization.scales import Float32, Int8
from ncnn_tools.quantization.statistics import InputStatistics


def correct_bias(
    layer: Layer, rows: Float32, quantized: Int8, scales: Float32, seen: InputStatistics
) -> None:
    """Take the mean error off a layer's bias; it gets one where it had none.

    `rows` and `quantized` are (outputs, weights an output); `scales` has one value an output.
    """
    outputs = len(rows)
    groups = len(seen.float_mean)
    rounded = quantized / scales[:, None].astype(np.float64)
    float_mean = np.repeat(seen.float_mean, outputs // groups, axis=0)
    error_mean = np.repeat(seen.error_mean, outputs // groups, axis=0)
    shift = (rounded * (float_mean + error_mean) - rows * float_mean).sum(axis=1)
    bias = layer.weights["bias"].values() if "bias" in layer.weights else np.zeros(outputs, np.float32)
    layer.set("bias_term", 1)
    layer.set_weight("bias", bias - shift)
