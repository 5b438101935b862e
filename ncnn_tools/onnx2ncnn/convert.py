"""The converter: which function converts which operator, and the walk over the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx

from ncnn_tools.graph import Graph, Layer, OwnScales
from ncnn_tools.onnx2ncnn import activation_ops as activation
from ncnn_tools.onnx2ncnn import arithmetic_ops as arithmetic
from ncnn_tools.onnx2ncnn import convolution_ops as convolution
from ncnn_tools.onnx2ncnn import normalization_ops as normalization
from ncnn_tools.onnx2ncnn import padding_ops as padding
from ncnn_tools.onnx2ncnn import pooling_ops as pooling
from ncnn_tools.onnx2ncnn import product_ops as product
from ncnn_tools.onnx2ncnn import recurrent_ops as recurrent
from ncnn_tools.onnx2ncnn import reduction_ops as reduction
from ncnn_tools.onnx2ncnn import resize_ops as resize
from ncnn_tools.onnx2ncnn import shape_ops as shape
from ncnn_tools.onnx2ncnn import view_ops as view
from ncnn_tools.onnx2ncnn.adaptive_pooling import ADAPTIVE_AVERAGE_POOL, replace_adaptive_pools
from ncnn_tools.onnx2ncnn.builder import Builder, Converter
from ncnn_tools.onnx2ncnn.qdq import LayerScales, without_pairs
from ncnn_tools.onnx2ncnn.source import Source

OPERATORS: Mapping[str, Converter] = {
    **dict.fromkeys(activation.UNARY_OPERATORS, activation.convert_unary),
    **dict.fromkeys(arithmetic.BINARY_OPERATORS, arithmetic.convert_binary),
    **dict.fromkeys(arithmetic.VARIADIC_OPERATORS, arithmetic.convert_variadic),
    **dict.fromkeys(reduction.REDUCTION_OPERATORS, reduction.convert_reduction),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), recurrent.convert_recurrent),
    **dict.fromkeys(("Erf", "Mish", "Sigmoid", "Softplus"), activation.convert_plain),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), view.convert_reshape),
    "AveragePool": pooling.convert_pooling,
    "BatchNormalization": normalization.convert_batch_normalization,
    "Cast": activation.convert_cast,
    "CastLike": activation.convert_cast,
    "Celu": activation.convert_elu,
    "Clip": activation.convert_clip,
    "Concat": shape.convert_concat,
    "Conv": convolution.convert_conv,
    "ConvTranspose": convolution.convert_conv_transpose,
    "CumSum": shape.convert_cumulative_sum,
    "DepthToSpace": view.convert_depth_to_space,
    "Dropout": activation.convert_dropout,
    "Einsum": product.convert_einsum,
    "Elu": activation.convert_elu,
    "Expand": arithmetic.convert_expand,
    "Gather": shape.convert_gather,
    "Gelu": activation.convert_gelu,
    "Gemm": product.convert_gemm,
    "GlobalAveragePool": pooling.convert_global_pooling,
    "GlobalLpPool": pooling.convert_global_lp_pooling,
    "GlobalMaxPool": pooling.convert_global_pooling,
    "GridSample": resize.convert_grid_sample,
    "GroupNormalization": normalization.convert_group_normalization,
    "HardSigmoid": activation.convert_hard_sigmoid,
    "HardSwish": activation.convert_hard_swish,
    "Identity": activation.convert_identity,
    "InstanceNormalization": normalization.convert_instance_normalization,
    "LRN": normalization.convert_lrn,
    "LayerNormalization": normalization.convert_layer_normalization,
    "LeakyRelu": activation.convert_relu,
    "LogSoftmax": activation.convert_log_softmax,
    "LpNormalization": normalization.convert_lp_normalization,
    "LpPool": pooling.convert_lp_pooling,
    "MatMul": product.convert_matmul,
    "MaxPool": pooling.convert_pooling,
    "MeanVarianceNormalization": normalization.convert_mean_variance_normalization,
    "PRelu": activation.convert_prelu,
    "Pad": padding.convert_pad,
    "Pow": arithmetic.convert_pow,
    "RMSNormalization": normalization.convert_rms_normalization,
    "Relu": activation.convert_relu,
    "Resize": resize.convert_resize,
    "Selu": activation.convert_selu,
    "Shrink": activation.convert_shrink,
    "Slice": shape.convert_slice,
    "Softmax": activation.convert_softmax,
    "Softsign": activation.convert_softsign,
    "SpaceToDepth": view.convert_space_to_depth,
    "Split": shape.convert_split,
    "Swish": activation.convert_swish,
    "ThresholdedRelu": activation.convert_thresholded_relu,
    "Tile": shape.convert_tile,
    "Transpose": view.convert_transpose,
    "Upsample": resize.convert_resize,
    "Where": arithmetic.convert_where,
}


# What this package puts in the place of what an exporter has spelled out.
_RECOGNIZED: Mapping[str, Converter] = {ADAPTIVE_AVERAGE_POOL: pooling.convert_adaptive_pooling}
_CONVERTERS = {**OPERATORS, **_RECOGNIZED}

# Nodes that ncnn has no layer for, although it has one for their operator.
_BY_DEFINITION: Mapping[str, Callable[[onnx.NodeProto], bool]] = {
    "LayerNormalization": lambda node: any(node.output[1:]),
    "Swish": lambda node: any(attribute.name == "alpha" and attribute.f != 1 for attribute in node.attribute),
}


def convert_onnx(model: onnx.ModelProto) -> Graph:
    """Convert a model of static shape and batch 1; blobs keep the ONNX tensors' names.

    The graph is exact, not yet optimized, and has no Split layers (see `passes`). Of a QDQ model it is the float model
    (see `qdq`), with the model's scales in `own_scales`. Raises InvalidModelError for a model that is not valid ONNX,
    and UnsupportedOperatorError, naming node, operator and attribute, for whatever can't be converted exactly.
    """
    plain = without_pairs(model)
    source = Source(plain.model, _is_convertible)
    replace_adaptive_pools(source)
    _check_operators(source)
    build = Builder(source)
    for tensor in source.inputs:
        build.input(tensor)
    for node in source.nodes:
        _CONVERTERS[node.operator](node, build)
        if unread := node.unread():
            raise node.unsupported("this attribute is not known", unread[0])
    for tensor in source.outputs:
        build.graph.outputs.append(build.output(tensor))
    build.graph.check()
    _note_scales(build.graph, plain.scales)
    return build.graph


def _note_scales(graph: Graph, scales: Mapping[str, LayerScales]) -> None:
    for layer in graph.layers:
        found = scales.get(graph.origins.get(layer.outputs[0], ""))
        if found is not None:
            graph.own_scales[layer.name] = OwnScales(
                found.input.scale, found.input.is_int8, np.float32(1) / found.steps, _rows(layer)
            )


def _rows(layer: Layer) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    if "weight" not in layer.weights:
        return np.empty((0, 0), np.float32)
    return layer.weights["weight"].values().reshape(layer.integer("num_output"), -1)


def _is_convertible(node: onnx.NodeProto) -> bool:
    """Say whether a node is converted as it is; any other is read as what ONNX defines its operator by."""
    exception = _BY_DEFINITION.get(node.op_type)
    return node.op_type in OPERATORS and not (exception is not None and exception(node))


def _check_operators(source: Source) -> None:
    """Refuse all operators that have no converter at once, so that a person sees the whole list."""
    unknown = [node for node in source.nodes if node.operator not in _CONVERTERS]
    if not unknown:
        return
    first = unknown[0]
    others = sorted({node.operator for node in unknown} - {first.operator})
    more = f"; neither for {', '.join(others)}" if others else ""
    raise first.unsupported(f"there is no converter for this operator{more}")
