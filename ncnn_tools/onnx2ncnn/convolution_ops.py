"""Conv, ConvTranspose, Gemm and MatMul: operators whose weights are constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ncnn_tools.onnx2ncnn.builder import Builder, as_floats
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.schema import ParamValue


def convert_conv(node: Node, build: Builder) -> None:
    """Conv of two spatial axes → Convolution, or ConvolutionDepthWise where it has groups."""
    weight, bias = _constants(node, build)
    kernel, group = _window(node, weight)
    _check_channels(node, build, weight.shape[1] * group)
    params = {**kernel, **_padding(node, build, weight)}
    outputs = int(weight.shape[0])
    kind = "Convolution"
    if group > 1:
        kind, params = "ConvolutionDepthWise", {**params, "group": group}
    _add_weighted(kind, node, build, outputs, weight, bias, params)


def convert_conv_transpose(node: Node, build: Builder) -> None:
    """ConvTranspose of two spatial axes → Deconvolution, or DeconvolutionDepthWise where it has groups."""
    weight, bias = _constants(node, build)
    kernel, group = _window(node, weight)
    _check_channels(node, build, weight.shape[0])
    if node.attribute("output_shape"):
        raise node.unsupported("give output_padding instead", "output_shape")
    if node.attribute("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise node.unsupported("only explicit pads can be converted", "auto_pad")
    bottom, right = node.attribute("output_padding", [0, 0])
    params = {**kernel, **_explicit_pads(node, node.attribute("pads", [0, 0, 0, 0]))}
    params |= {"output_pad_right": int(right), "output_pad_bottom": int(bottom)}
    # ONNX: (in, out/group, kh, kw); ncnn: (group, out/group, in/group, kh, kw).
    inputs, outputs_a_group = weight.shape[:2]
    grouped = weight.reshape(group, inputs // group, *weight.shape[1:]).swapaxes(1, 2)
    kind = "Deconvolution"
    if group > 1:
        kind, params = "DeconvolutionDepthWise", {**params, "group": group}
    _add_weighted(kind, node, build, outputs_a_group * group, grouped, bias, params)


def convert_gemm(node: Node, build: Builder) -> None:
    """Gemm of an activation and constant B and C → InnerProduct."""
    if node.attribute("transA", 0):
        raise node.unsupported("the activation would be transposed", "transA")
    weight = build.constant(node.inputs[1])
    if weight is None:
        raise node.unsupported("B should be constant")
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    rows = weight if node.attribute("transB", 0) else weight.T
    bias = build.constant(node.inputs[2]) if node.has_input(2) else None
    if node.has_input(2) and bias is None:
        raise node.unsupported("C should be constant")
    if bias is not None:
        bias = np.broadcast_to(beta * bias.reshape(-1), (rows.shape[0],))
    _inner_product(node, build, node.inputs[0], alpha * rows, bias)


def convert_matmul(node: Node, build: Builder) -> None:
    """MatMul → InnerProduct where the right side is a constant matrix, MatMul for two activations."""
    left, right = node.inputs
    weight = build.constant(right)
    if weight is not None and weight.ndim == 2 and len(build.shape(left)) <= 3:
        _inner_product(node, build, left, weight.T, None)
        return
    shapes = [build.ncnn_shape(node, tensor) for tensor in (left, right)]
    if len(shapes[0]) != len(shapes[1]) or len(shapes[0]) < 2:
        raise node.unsupported(
            f"shapes {build.shape(left)} and {build.shape(right)} can't be multiplied by ncnn"
        )
    build.add("MatMul", node, [build.blob(node, left), build.blob(node, right)])


def _inner_product(node: Node, build: Builder, left: str, rows: Array, bias: Array | None) -> None:
    """`rows` is (num_output, num_input); ncnn multiplies one vector, or each row of a matrix."""
    if len(build.ncnn_shape(node, left)) > 2:
        raise node.unsupported(f"the left side has shape {build.shape(left)}; flatten it first")
    _add_weighted("InnerProduct", node, build, rows.shape[0], rows, bias, {}, inputs=[left])


def _add_weighted(
    kind: str,
    node: Node,
    build: Builder,
    outputs: int,
    weight: Array,
    bias: Array | None,
    params: dict[str, ParamValue],
    inputs: Sequence[str] | None = None,
) -> None:
    blobs = [build.blob(node, tensor) for tensor in (inputs or node.inputs[:1])]
    sizes = {
        "num_output": int(outputs),
        "weight_data_size": int(weight.size),
        "bias_term": int(bias is not None),
    }
    layer = build.add(kind, node, blobs, **sizes, **params)
    layer.set_weight("weight", as_floats(weight))
    if bias is not None:
        layer.set_weight("bias", as_floats(bias))


def _constants(node: Node, build: Builder) -> tuple[Array, Array | None]:
    weight = build.constant(node.inputs[1])
    bias = build.constant(node.inputs[2]) if node.has_input(2) else None
    if weight is None or (node.has_input(2) and bias is None):
        raise node.unsupported("weight and bias should be constants")
    if weight.ndim != 4:
        raise node.unsupported(
            f"has {weight.ndim - 2} spatial axes; only two can be converted", "kernel_shape"
        )
    return weight, bias


def _window(node: Node, weight: Array) -> tuple[dict[str, ParamValue], int]:
    kernel_h, kernel_w = node.attribute("kernel_shape", weight.shape[2:])
    stride_h, stride_w = node.attribute("strides", [1, 1])
    dilation_h, dilation_w = node.attribute("dilations", [1, 1])
    params: dict[str, ParamValue] = {
        "kernel_w": int(kernel_w),
        "kernel_h": int(kernel_h),
        "stride_w": int(stride_w),
        "stride_h": int(stride_h),
        "dilation_w": int(dilation_w),
        "dilation_h": int(dilation_h),
    }
    return params, int(node.attribute("group", 1))


def _check_channels(node: Node, build: Builder, wanted: int) -> None:
    """Shape inference passes over this; ncnn would read beyond the input."""
    shape = build.shape(node.inputs[0])
    if shape[1] != wanted:
        raise node.unsupported(f"its weights are for {wanted} channels, the input has shape {shape}")


def _padding(node: Node, build: Builder, weight: Array) -> dict[str, ParamValue]:
    mode = node.attribute("auto_pad", "NOTSET")
    pads = node.attribute("pads", [0, 0, 0, 0])
    if mode == "VALID":
        pads = [0, 0, 0, 0]
    elif mode != "NOTSET":
        pads = _same_pads(node, build, weight, upper=mode == "SAME_UPPER")
    return _explicit_pads(node, pads)


def _same_pads(node: Node, build: Builder, weight: Array, *, upper: bool) -> list[int]:
    """Work out SAME padding: ncnn's own writes out of bounds where one axis needs no pads and the other does."""
    strides, dilations = (node.attribute(name, [1, 1]) for name in ("strides", "dilations"))
    before, after = [], []
    for axis, size in enumerate(build.ncnn_shape(node, node.inputs[0])[1:]):
        extent = (weight.shape[2 + axis] - 1) * dilations[axis] + 1
        missing = max(0, (size - 1) // strides[axis] * strides[axis] + extent - size)
        before.append(missing // 2 if upper else missing - missing // 2)
        after.append(missing - before[axis])
    return [*before, *after]


def _explicit_pads(node: Node, pads: Sequence[int]) -> dict[str, ParamValue]:
    if any(pad < 0 for pad in pads):
        raise node.unsupported("negative pads can't be converted", "pads")
    top, left, bottom, right = map(int, pads)
    return {"pad_left": left, "pad_right": right, "pad_top": top, "pad_bottom": bottom}
