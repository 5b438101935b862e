"""Resize → Interp, where ncnn samples at the same points as ONNX says (src/layer/interp.cpp)."""

from __future__ import annotations

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Node
from ncnn_tools.onnx2ncnn.window import map_shape

_NEAREST, _BILINEAR, _BICUBIC = 1, 2, 3
# Cubic coefficient of ncnn's bicubic (interpolate_cubic in src/layer/interp.cpp).
_CUBIC_A = -0.75


def convert_resize(node: Node, build: Builder) -> None:
    """Resize of the two spatial axes → Interp."""
    tensor = node.inputs[0]
    shape, wanted = (map_shape(node, build, name) for name in (tensor, node.outputs[0]))
    if shape[0] != wanted[0]:
        raise node.unsupported("only the two spatial axes of a feature map can be resized", "axes")
    _check_options(node)
    _check_scales(node, build, shape[1:], wanted[1:])
    mode = node.attribute("mode", "nearest")
    coordinates = node.attribute("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest":
        kind, align = _nearest(node, coordinates, shape[1:], wanted[1:])
    elif mode in ("linear", "cubic"):
        kind, align = _smooth(node, mode, coordinates, wanted[1:])
    else:
        raise node.unsupported(f"ncnn's Interp has no mode {mode!r}", "mode")
    build.add(
        "Interp",
        node,
        [build.blob(node, tensor, shape)],
        shapes=[wanted],
        resize_type=kind,
        output_height=wanted[1],
        output_width=wanted[2],
        align_corner=align,
    )


def _check_options(node: Node) -> None:
    if node.opset < 11:
        raise node.unsupported("before opset 11 it samples at other points; export with opset 11 or later")
    for name, only in (("antialias", 0), ("exclude_outside", 0), ("keep_aspect_ratio_policy", "stretch")):
        if node.attribute(name, only) != only:
            raise node.unsupported("ncnn's Interp has no such option", name)
    if [axis % 4 for axis in node.attribute("axes", [2, 3])] not in ([2, 3], [0, 1, 2, 3]):
        raise node.unsupported("only the two spatial axes, in their order, can be resized", "axes")
    for name in ("extrapolation_value", "nearest_mode", "cubic_coeff_a"):
        node.attribute(name)  # concerns other modes, or is read below


def _check_scales(node: Node, build: Builder, sizes: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Refuse scales that are not output/input: ncnn, given sizes, takes that quotient."""
    if not node.has_input(2):
        return
    scales = build.constant(node.inputs[2])
    if scales is None:
        raise node.unsupported("its scales should be constants", "scales")
    if scales.size == 0:
        return
    for scale, size, target in zip(scales[-2:], sizes, wanted, strict=True):
        if abs(float(scale) * size - target) > 1e-3:
            raise node.unsupported(
                f"scale {scale} of size {size} is rounded to {target}; give the size", "scales"
            )


def _nearest(
    node: Node, coordinates: str, sizes: tuple[int, ...], wanted: tuple[int, ...]
) -> tuple[int, int]:
    """ncnn takes floor(x · in / out): ONNX's `asymmetric` with `floor`, and half pixels where the scale is whole."""
    rounding = node.attribute("nearest_mode", "round_prefer_floor")
    floor = coordinates == "asymmetric" and rounding == "floor"
    whole = all(target % size == 0 for size, target in zip(sizes, wanted, strict=True))
    halves = coordinates in ("half_pixel", "pytorch_half_pixel") and rounding.startswith("round")
    if floor or (whole and halves):
        return _NEAREST, 0
    raise node.unsupported(f"nearest with {coordinates} and {rounding} is not ncnn's", "nearest_mode")


def _smooth(node: Node, mode: str, coordinates: str, wanted: tuple[int, ...]) -> tuple[int, int]:
    if mode == "cubic" and abs(node.attribute("cubic_coeff_a", _CUBIC_A) - _CUBIC_A) > 1e-6:
        raise node.unsupported(f"ncnn's coefficient is {_CUBIC_A}", "cubic_coeff_a")
    kind = _BILINEAR if mode == "linear" else _BICUBIC
    if coordinates == "align_corners":
        return kind, 1
    # pytorch_half_pixel differs from half_pixel only where the result has one row or column.
    if coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and min(wanted) > 1):
        return kind, 0
    raise node.unsupported(f"ncnn does not sample at {coordinates!r}", "coordinate_transformation_mode")
