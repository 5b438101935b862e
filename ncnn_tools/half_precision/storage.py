"""fp16 storage: weights as half precision floats in the .bin, half the size."""

from __future__ import annotations

import numpy as np

from ncnn_tools.graph import Graph, Storage, Weight
from ncnn_tools.half_precision.rounding import LARGEST
from ncnn_tools.schema import MASK_NO_FP16_STORAGE


def store_as_fp16(graph: Graph) -> Graph:
    """Return a copy whose fp32 weights are stored as fp16, as far as the format allows.

    Untagged weights (biases, slopes, scales) are always fp32 in a .bin. A weight beyond fp16's range (65504)
    stays fp32 too, rather than becoming infinite, and so do those of layers that are masked from fp16 storage.
    """
    result = graph.copy()
    for layer in result.layers:
        if layer.feature_mask & MASK_NO_FP16_STORAGE:
            continue
        for name, weight in layer.weights.items():
            if weight.storage is Storage.FP32 and _fits(weight):
                layer.weights[name] = Weight(weight.data.astype(np.float16), Storage.FP16)
    return result


def _fits(weight: Weight) -> bool:
    return bool(weight.data.size == 0 or np.abs(weight.data).max() <= LARGEST)
