"""Convolutions and transposed convolutions of one, two and three dimensions."""

from __future__ import annotations

from ncnn_tools.schema.base import LayerSchema, Lookup, WeightSpec, params, raw, tagged

_WINDOW = params(
    num_output=(0, 0),
    kernel_w=(1, 0),
    dilation_w=(2, 1),
    stride_w=(3, 1),
    pad_left=(4, 0),
    bias_term=(5, 0),
    weight_data_size=(6, 0),
    activation_type=(9, 0),
    activation_params=(10, ()),
    kernel_h=(11, "kernel_w"),
    dilation_h=(12, "dilation_w"),
    stride_h=(13, "stride_w"),
    pad_top=(14, "pad_left"),
    pad_right=(15, "pad_left"),
    pad_bottom=(16, "pad_top"),
)
_GROUP = params(group=(7, 1))
_INT8 = params(int8_scale_term=(8, 0))
_FORWARD = params(pad_value=(18, 0.0), dynamic_weight=(19, 0))
_TRANSPOSED = params(
    output_pad_right=(18, 0),
    output_pad_bottom=(19, "output_pad_right"),
    output_w=(20, 0),
    output_h=(21, "output_w"),
    dynamic_weight=(28, 0),
)


def _static_weights(get: Lookup) -> list[WeightSpec]:
    specs = [tagged("weight", get("weight_data_size"))]
    if get("bias_term"):
        specs.append(raw("bias", get("num_output")))
    return specs


def _convolution_weights(get: Lookup) -> list[WeightSpec]:
    return [] if get("dynamic_weight") else _static_weights(get)


def _int8_convolution_weights(get: Lookup) -> list[WeightSpec]:
    return _convolution_weights(get) + _int8_scales(get, get("num_output"))


def _int8_depthwise_weights(get: Lookup) -> list[WeightSpec]:
    one_scale = get("int8_scale_term") in (2, 102)
    return _convolution_weights(get) + _int8_scales(get, 1 if one_scale else get("group"))


def _int8_scales(get: Lookup, weight_scales: int) -> list[WeightSpec]:
    term = get("int8_scale_term")
    if not term or get("dynamic_weight"):
        return []
    specs = [raw("weight_scales", weight_scales), raw("input_scale", 1)]
    if term > 100:
        specs.append(raw("output_scale", 1))
    return specs


CONVOLUTIONS = [
    LayerSchema("Convolution", {**_WINDOW, **_FORWARD, **_INT8}, _int8_convolution_weights, int8=True),
    LayerSchema(
        "ConvolutionDepthWise", {**_WINDOW, **_FORWARD, **_GROUP, **_INT8}, _int8_depthwise_weights, int8=True
    ),
    LayerSchema("Convolution1D", {**_WINDOW, **_FORWARD}, _convolution_weights),
    LayerSchema("ConvolutionDepthWise1D", {**_WINDOW, **_FORWARD, **_GROUP}, _convolution_weights),
    LayerSchema("Deconvolution", {**_WINDOW, **_TRANSPOSED}, _convolution_weights),
    LayerSchema("DeconvolutionDepthWise", {**_WINDOW, **_TRANSPOSED, **_GROUP}, _convolution_weights),
    LayerSchema("Deconvolution1D", {**_WINDOW, **_TRANSPOSED}, _convolution_weights),
    LayerSchema("DeconvolutionDepthWise1D", {**_WINDOW, **_TRANSPOSED, **_GROUP}, _convolution_weights),
    LayerSchema("Convolution3D", _WINDOW, _static_weights),
    LayerSchema("ConvolutionDepthWise3D", {**_WINDOW, **_GROUP}, _static_weights),
    LayerSchema("Deconvolution3D", _WINDOW, _static_weights),
    LayerSchema("DeconvolutionDepthWise3D", {**_WINDOW, **_GROUP}, _static_weights),
    LayerSchema("DeformableConv2D", _WINDOW, _static_weights),
]
