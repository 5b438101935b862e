"""Conv and ConvTranspose of one or two spatial axes, with constant weights."""

from __future__ import annotations

from collections.abc import Mapping

from ncnn_tools.onnx2ncnn.builder import Builder, as_floats
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.onnx2ncnn.view import Shape
from ncnn_tools.onnx2ncnn.window import Window, map_shape
from ncnn_tools.schema import ParamValue


def convert_conv(node: Node, build: Builder) -> None:
    """Conv → Convolution, or ConvolutionDepthWise where it has groups; InnerProduct from one pixel to one pixel."""
    weight, bias = _constants(node, build)
    group = int(node.attribute("group", 1))
    source = _source_maps(node, build, weight.shape[1] * group)
    window = Window.read(node, weight.shape[2:], source[1:])
    target = map_shape(node, build, node.outputs[0])
    if group == 1 and source[1:] == target[1:] == (1, 1):
        _as_inner_product(node, build, weight, bias, window)
        return
    params: dict[str, ParamValue] = {**window.params(), **window.dilation()}
    kind = "Convolution"
    if group > 1:
        kind, params = "ConvolutionDepthWise", {**params, "group": group}
    blob = build.blob(node, node.inputs[0], source)
    add_weighted(kind, node, build, blob, target, weight, bias, params)


def _as_inner_product(node: Node, build: Builder, weight: Array, bias: Array | None, window: Window) -> None:
    """Convert a convolution from one pixel to one pixel: one tap of its kernel meets it, the others meet padding."""
    taps = []
    for axis in (0, 1):
        tap, rest = divmod(window.before[axis], window.dilations[axis])
        if rest or tap >= window.kernel[axis]:
            raise node.unsupported("its kernel misses the one pixel", "pads")
        taps.append(tap)
    rows = weight[:, :, taps[0], taps[1]]
    blob = build.blob(node, node.inputs[0], (rows.shape[1],))
    add_weighted("InnerProduct", node, build, blob, (rows.shape[0],), rows, bias, {})


def convert_conv_transpose(node: Node, build: Builder) -> None:
    """ConvTranspose → Deconvolution, or DeconvolutionDepthWise where it has groups."""
    weight, bias = _constants(node, build)
    group = int(node.attribute("group", 1))
    source = _source_maps(node, build, weight.shape[0])
    target = map_shape(node, build, node.outputs[0])
    params = _transposed_window(node, weight, source, target)
    # ONNX: (in, out/group, kh, kw); ncnn: (group, out/group, in/group, kh, kw).
    grouped = weight.reshape(group, weight.shape[0] // group, *weight.shape[1:]).swapaxes(1, 2)
    kind = "Deconvolution"
    if group > 1:
        kind, params = "DeconvolutionDepthWise", {**params, "group": group}
    blob = build.blob(node, node.inputs[0], source)
    add_weighted(kind, node, build, blob, target, grouped, bias, params)


def _transposed_window(node: Node, weight: Array, source: Shape, target: Shape) -> dict[str, ParamValue]:
    """Work out the pads from the output's size, which holds for all ways to give them (ONNX's ConvTranspose)."""
    extra = [int(size) for size in node.attribute("output_padding") or [0, 0]]
    extra = [0, *extra] if len(extra) == 1 else extra
    mode = node.attribute("auto_pad", "NOTSET")
    by_shape = bool(node.attribute("output_shape")) or mode in ("SAME_UPPER", "SAME_LOWER")
    window = Window.read(_without_same(node, by_shape), weight.shape[2:], source[1:])
    before, after = list(window.before), list(window.after)
    for axis in (0, 1) if by_shape else ():
        reach = window.strides[axis] * (source[1 + axis] - 1) + window.extent(axis)
        total = reach + extra[axis] - target[1 + axis]
        if total < 0:
            extra[axis], total = extra[axis] - total, 0
        smaller = total // 2
        before[axis], after[axis] = (
            (smaller, total - smaller) if mode == "SAME_UPPER" else (total - smaller, smaller)
        )
    cut = Window(
        window.kernel, window.strides, window.dilations, (before[0], before[1]), (after[0], after[1])
    )
    return {
        **cut.params(),
        **cut.dilation(),
        "output_pad_right": extra[1],
        "output_pad_bottom": extra[0],
    }


def _without_same(node: Node, by_shape: bool) -> Node:
    return node.with_attributes(auto_pad="VALID") if by_shape else node


def _source_maps(node: Node, build: Builder, channels: int) -> Shape:
    source = map_shape(node, build, node.inputs[0])
    if source[0] != channels:  # shape inference passes over this; ncnn would read beyond the input
        raise node.unsupported(f"its weights are for {channels} channels, the input has shape {source}")
    return source


def _constants(node: Node, build: Builder) -> tuple[Array, Array | None]:
    """Return the weight (with one row for a sequence) and the bias."""
    weight = build.constant(node.inputs[1])
    bias = build.constant(node.inputs[2]) if node.has_input(2) else None
    if weight is None or (node.has_input(2) and bias is None):
        raise node.unsupported("weight and bias should be constants")
    if weight.ndim not in (3, 4):
        raise node.unsupported(
            f"has {weight.ndim - 2} spatial axes; only one or two can be converted", "kernel_shape"
        )
    return weight[:, :, None] if weight.ndim == 3 else weight, bias


def add_weighted(
    kind: str,
    node: Node,
    build: Builder,
    blob: str,
    target: Shape,
    weight: Array,
    bias: Array | None,
    params: Mapping[str, ParamValue],
) -> None:
    """Add a layer with a constant weight and perhaps a bias, which gives `target`, channels (or values) first."""
    sizes: Mapping[str, ParamValue] = {
        "num_output": target[0],
        "weight_data_size": int(weight.size),
        "bias_term": int(bias is not None),
    }
    layer = build.add(kind, node, [blob], shapes=[target], **sizes, **params)
    layer.set_weight("weight", as_floats(weight))
    if bias is not None:
        layer.set_weight("bias", as_floats(bias))
