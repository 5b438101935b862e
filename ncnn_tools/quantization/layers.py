"""Which layers run in int8 and give right results there, and the shapes of their weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer

# int8_scale_term: 2 for Convolution and InnerProduct, 1 for depthwise with a scale a group (as upstream writes).
SCALE_TERM = {"Convolution": 2, "InnerProduct": 2, "ConvolutionDepthWise": 1}
INT8_TAKERS = tuple(SCALE_TERM)

_PICTURE_CHANNELS = 4
_KEEP_PICTURES = ("Split", "ConvolutionDepthWise")


def quantizable_layers(graph: Graph) -> list[Layer]:
    """Return the float layers that can run in int8 with right results.

    Left out are grouped convolutions that are not depthwise (ncnn computes them wrongly with packing on x86).
    """
    return [layer for layer in graph.layers if layer.type in SCALE_TERM and _can_quantize(layer)]


def picture_blobs(graph: Graph) -> set[str]:
    """Return the blobs that carry an input of the network with at most four channels: a picture, maybe with its alpha.

    One that a depthwise convolution made smaller counts too.

    Their 256 levels become 127 at most on either side of zero in ncnn's symmetric int8, and no layer behind can make
    up for that; and with so few channels int8 kernels gain nothing on the layers that read them.
    """
    found: set[str] = set()
    for layer in graph.layers:
        picture = layer.type == "Input" and 0 < layer.integer("c") <= _PICTURE_CHANNELS
        if picture or (layer.type in _KEEP_PICTURES and layer.inputs[0] in found):
            found.update(layer.outputs)
    return found


def is_int8(layer: Layer) -> bool:
    """Return whether a layer computes in int8."""
    return layer.type in SCALE_TERM and bool(layer.get("int8_scale_term"))


def is_depthwise(layer: Layer) -> bool:
    """Return whether a layer is a convolution with one filter a channel."""
    if layer.type != "ConvolutionDepthWise":
        return False
    taps = layer.get("kernel_w") * layer.get("kernel_h")
    return bool(layer.get("group") == layer.get("num_output") == layer.get("weight_data_size") // taps)


def _can_quantize(layer: Layer) -> bool:
    if "weight" not in layer.weights or layer.get("int8_scale_term"):
        return False
    return layer.type in ("Convolution", "InnerProduct") or is_depthwise(layer)


def weight_rows(layer: Layer) -> npt.NDArray[np.float32]:
    """Return the weights of each output, float32 of shape (outputs, weights an output)."""
    return layer.weights["weight"].values().reshape(layer.integer("num_output"), -1)
