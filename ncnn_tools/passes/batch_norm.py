"""Fold batch normalization into the layer before it.

BatchNorm gives f·x + g for each channel, f = slope / √(var + eps), g = bias − f·mean. Where x = w·u + b comes
from a convolution, a transposed convolution or InnerProduct without activation, that is (f·w)·u + (f·b + g): the
same layer with other weights. Exact up to rounding; the fold is computed in float64.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer

_LINEAR = {"Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise", "InnerProduct"}
_ZERO_DEVIATION = 1e-4  # what ncnn divides by where √(var + eps) is 0 (src/layer/batchnorm.cpp)

Float64 = npt.NDArray[np.float64]


def fold_batch_norms(graph: Graph) -> int:
    """Fold every BatchNorm that is the only reader of a linear layer; return how many."""
    producers, consumers = graph.producers(), graph.consumers()
    folded: list[Layer] = []
    for norm in graph.layers:
        if norm.type != "BatchNorm":
            continue
        linear = producers[norm.inputs[0]]
        if not _foldable(graph, linear) or graph.sole_consumer(norm.inputs[0], consumers) is not norm:
            continue
        _fold(linear, *batch_norm_factors(norm))
        linear.outputs = norm.outputs
        producers[norm.outputs[0]] = linear
        folded.append(norm)
    graph.remove(folded)
    return len(folded)


def batch_norm_factors(norm: Layer) -> tuple[Float64, Float64]:
    """Return (f, g), float64, one a channel, so that the layer computes f·x + g."""
    slope, mean, var, bias = (
        norm.weights[name].data.astype(np.float64) for name in ("slope", "mean", "var", "bias")
    )
    deviation = np.sqrt(var + norm.get("eps"))
    factor = slope / np.where(deviation == 0, _ZERO_DEVIATION, deviation)
    return factor, bias - factor * mean


def _foldable(graph: Graph, layer: Layer) -> bool:
    if layer.type not in _LINEAR or layer.get("activation_type") or "weight" not in layer.weights:
        return False
    if "input_scale" in layer.weights:
        return False  # int8
    # Of a matrix InnerProduct gives one row for each of its rows: BatchNorm's channels are rows, not outputs.
    return layer.type != "InnerProduct" or len(graph.shapes.get(layer.outputs[0], ())) == 1


def _fold(linear: Layer, factor: Float64, offset: Float64) -> None:
    channels = linear.get("num_output")
    weight = linear.weights["weight"].values().astype(np.float64).reshape(channels, -1)
    bias = linear.weights["bias"].data.astype(np.float64) if "bias" in linear.weights else np.zeros(channels)
    linear.set("bias_term", 1)
    linear.set_weight("weight", weight * factor[:, None])
    linear.set_weight("bias", factor * bias + offset)
