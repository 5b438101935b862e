"""Layers that are kept out of fp16 by their feature mask, so that ncnn computes them right.

A layer that is masked from fp16 arithmetic alone takes and gives fp16 and adds up in fp32. One that is masked from
fp16 storage too takes and gives fp32, but ncnn does not convert its input for it: `convert_layout` in src/net.cpp
asks the masked options whether fp16 is used at all, hands on the fp16 blob, and the layer reads it as fp32 (NaN, or
what lies behind it in memory). A layer without fp16 kernels gets its input converted, and gives fp32: Dropout of
scale 1 is one, and does nothing else, on any CPU. So it stands before each masked layer that would read an fp16 blob.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, new_layer, unique_name
from ncnn_tools.half_precision.emulation import Precision, precision_of
from ncnn_tools.quantization.chains import gives_int8
from ncnn_tools.quantization.layers import is_int8
from ncnn_tools.schema import FEATURE_MASK_ID, MASK_NO_FP16_ARITHMETIC, MASK_NO_FP16_STORAGE

ALL_FP32 = MASK_NO_FP16_ARITHMETIC | MASK_NO_FP16_STORAGE


@dataclass(frozen=True)
class HalfMask:
    """A layer to be kept out of fp16: the bits of its feature mask, and why.

    `bits` is MASK_NO_FP16_ARITHMETIC or ALL_FP32.
    """

    layer: str
    bits: int
    reason: str


def apply_half_masks(graph: Graph, masks: Mapping[str, int]) -> Graph:
    """Return a copy whose layers have these bits in their feature masks, and Dropouts where ncnn needs them.

    `masks` gives bits by layer name. int8 layers add up in integers, so that their arithmetic needs no mask.
    """
    result = graph.copy()
    for layer in result.layers:
        bits = masks.get(layer.name, 0)
        if bits and (bits & MASK_NO_FP16_STORAGE or not is_int8(layer)):
            layer.params[FEATURE_MASK_ID] = layer.feature_mask | bits
    taken = set(result.blobs())
    for layer, blob in list(_misread(result)):
        whole = unique_name(f"{blob}_fp32", taken)
        result.inherit(whole, blob)
        place = next(i for i, other in enumerate(result.layers) if other is layer)
        result.layers.insert(place, new_layer("Dropout", whole, [blob], [whole]))
        layer.inputs = [whole if name == blob else name for name in layer.inputs]
    return result


def check_half_masks(graph: Graph) -> None:
    """Raise GraphError where a layer that is masked from fp16 storage would read an fp16 blob."""
    for layer, blob in _misread(graph):
        raise GraphError(
            f"layer {layer.name!r} is masked from fp16 storage, and reads blob {blob!r}, which is fp16 on ARM: "
            "ncnn converts it for no such layer"
        )


def _misread(graph: Graph) -> Iterator[tuple[Layer, str]]:
    """Yield each layer that is masked from fp16 storage with each of its inputs that is an fp16 blob."""
    halves: set[str] = set()
    int8: set[str] = set()
    for layer in graph.layers:
        if layer.feature_mask & MASK_NO_FP16_STORAGE:
            yield from ((layer, blob) for blob in dict.fromkeys(layer.inputs) if blob in halves)
        if gives_int8(layer) or (layer.type == "Split" and layer.inputs[0] in int8):
            int8.update(layer.outputs)
        elif precision_of(layer, layer.feature_mask) is not Precision.FLOAT:
            halves.update(layer.outputs)
