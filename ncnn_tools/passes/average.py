"""Average the channels of a picture by a depthwise convolution.

The average over 3x3 pixels, padding with zeros counted, is a convolution of each channel with ninths. ncnn has a kernel
for these, of stride 1 and 2, but pools channels that don't fill a vector (four, in its smallest packing) by loops over
single values: three times slower for the three channels of a picture, as `benchmarks/rewrites.py` measures. Networks
that look at a picture in several sizes (ESPNet and its like) begin so.
"""

from __future__ import annotations

import numpy as np

from ncnn_tools.graph import Graph, Layer, new_layer

_AVERAGE, _EXPLICIT = 1, 1  # pooling_type and pad_mode of src/layer/pooling.h
_LANES = 4


def average_by_convolution(graph: Graph) -> int:
    """Replace average pooling of fewer than four channels over 3x3 by a depthwise convolution; return how many."""
    replaced = 0
    for layer in list(graph.layers):
        channels = graph.shapes.get(layer.inputs[0], (_LANES,))[0] if layer.inputs else _LANES
        if layer.type == "Pooling" and channels < _LANES and _is_convolution(layer):
            graph.replace(layer, _convolution(layer, channels))
            replaced += 1
    return replaced


def _is_convolution(layer: Layer) -> bool:
    padded = any(layer.get(f"pad_{side}") for side in ("left", "right", "top", "bottom"))
    return bool(
        layer.get("pooling_type") == _AVERAGE
        and layer.get("pad_mode") == _EXPLICIT
        and not layer.get("global_pooling")
        and not layer.get("adaptive_pooling")
        and (layer.get("avgpool_count_include_pad") or not padded)
        and layer.get("kernel_w") == layer.get("kernel_h") == 3
        and layer.get("stride_w") == layer.get("stride_h")
        and layer.get("stride_w") in (1, 2)
    )


def _convolution(layer: Layer, channels: int) -> Layer:
    sides = {f"pad_{side}": layer.get(f"pad_{side}") for side in ("left", "right", "top", "bottom")}
    found = new_layer(
        "ConvolutionDepthWise",
        layer.name,
        layer.inputs,
        layer.outputs,
        num_output=channels,
        group=channels,
        kernel_w=3,
        kernel_h=3,
        stride_w=layer.get("stride_w"),
        stride_h=layer.get("stride_h"),
        weight_data_size=9 * channels,
        **sides,
    )
    found.set_weight("weight", np.full(9 * channels, 1 / 9, np.float32))
    return found
