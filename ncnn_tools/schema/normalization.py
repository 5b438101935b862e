"""Normalization, scaling, constants and the layers that change number formats."""

from __future__ import annotations

from ncnn_tools.schema.base import LayerSchema, Lookup, WeightRule, WeightSpec, params, raw, raw_weights


def _memory_weights(get: Lookup) -> list[WeightSpec]:
    count = 1
    for axis in ("w", "h", "d", "c"):
        count *= get(axis) or 1
    if not any(get(axis) for axis in ("w", "h", "d", "c")):
        return []
    return [WeightSpec("data", count, tagged=get("load_type") == 0)]


def _affine_weights(size: str, *names: str) -> WeightRule:
    return lambda get: [raw(name, get(size)) for name in names] if get("affine") else []


def _scale_weights(get: Lookup) -> list[WeightSpec]:
    size = get("scale_data_size")
    if size == -233:  # the scale comes as a second input
        return []
    specs = [raw("scale", size)]
    return [*specs, raw("bias", size)] if get("bias_term") else specs


NORMALIZATIONS = [
    LayerSchema(
        "BatchNorm",
        params(channels=(0, 0), eps=(1, 0.0)),
        raw_weights(slope="channels", mean="channels", var="channels", bias="channels"),
    ),
    LayerSchema("Bias", params(bias_data_size=(0, 0)), raw_weights(bias="bias_data_size")),
    LayerSchema("Scale", params(scale_data_size=(0, 0), bias_term=(1, 0)), _scale_weights),
    LayerSchema("PReLU", params(num_slope=(0, 0)), raw_weights(slope="num_slope")),
    LayerSchema("Normalize", params(scale_data_size=(3, 0)), raw_weights(scale="scale_data_size")),
    LayerSchema(
        "LayerNorm",
        params(affine_size=(0, 0), eps=(1, 0.001), affine=(2, 1)),
        _affine_weights("affine_size", "gamma", "beta"),
    ),
    LayerSchema(
        "RMSNorm",
        params(affine_size=(0, 0), eps=(1, 0.001), affine=(2, 1)),
        _affine_weights("affine_size", "gamma"),
    ),
    LayerSchema(
        "InstanceNorm",
        params(channels=(0, 0), eps=(1, 0.001), affine=(2, 1)),
        _affine_weights("channels", "gamma", "beta"),
    ),
    LayerSchema(
        "GroupNorm",
        params(group=(0, 1), channels=(1, 0), eps=(2, 0.001), affine=(3, 1)),
        _affine_weights("channels", "gamma", "beta"),
    ),
    LayerSchema(
        "MemoryData", params(w=(0, 0), h=(1, 0), c=(2, 0), d=(11, 0), load_type=(21, 1)), _memory_weights
    ),
    LayerSchema("Quantize", params(scale_data_size=(0, 1)), raw_weights(scale="scale_data_size")),
    LayerSchema(
        "Dequantize",
        params(scale_data_size=(0, 1), bias_data_size=(1, 0)),
        raw_weights(scale="scale_data_size", bias="bias_data_size"),
    ),
    LayerSchema(
        "Requantize",
        params(scale_in_data_size=(0, 1), scale_out_data_size=(1, 1), bias_data_size=(2, 0)),
        raw_weights(scale_in="scale_in_data_size", scale_out="scale_out_data_size", bias="bias_data_size"),
    ),
]
