"""The one place that knows ncnn's layers: parameter ids and names, weight order, which have int8 kernels.

Ids, defaults and weight order are those of `load_param` and `load_model` in ncnn's `src/layer/*.cpp`
(version 1.0.20261020). Layers that this library only carries through (read, write) need no parameter names.
"""

from __future__ import annotations

from collections.abc import Mapping

from ncnn_tools.schema.base import (
    FEATURE_MASK_ID,
    MASK_NO_FP16_ARITHMETIC,
    MASK_NO_FP16_STORAGE,
    MASK_NO_SGEMM,
    MASK_NO_WINOGRAD,
    Activation,
    LayerSchema,
    Param,
    ParamValue,
    WeightSpec,
)
from ncnn_tools.schema.convolution import CONVOLUTIONS
from ncnn_tools.schema.kernels import Fp16, fp16_on_arm, works_in_place
from ncnn_tools.schema.normalization import NORMALIZATIONS
from ncnn_tools.schema.plain import OTHERS, PLAIN
from ncnn_tools.schema.product import PRODUCTS

LAYERS: Mapping[str, LayerSchema] = {
    schema.type: schema
    for schema in [*CONVOLUTIONS, *PRODUCTS, *NORMALIZATIONS, *PLAIN, *(LayerSchema(name) for name in OTHERS)]
}

__all__ = [
    "FEATURE_MASK_ID",
    "LAYERS",
    "MASK_NO_FP16_ARITHMETIC",
    "MASK_NO_FP16_STORAGE",
    "MASK_NO_SGEMM",
    "MASK_NO_WINOGRAD",
    "Activation",
    "Fp16",
    "LayerSchema",
    "Param",
    "ParamValue",
    "WeightSpec",
    "fp16_on_arm",
    "works_in_place",
]
