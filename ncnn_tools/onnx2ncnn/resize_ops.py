"""Resize, Upsample → Interp, and GridSample, where ncnn samples at the same points as ONNX says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.onnx2ncnn.view import Shape
from ncnn_tools.onnx2ncnn.window import map_shape
from ncnn_tools.schema import ParamValue

Params = Mapping[str, ParamValue]

# ncnn's Interp (src/layer/interp.cpp).
_NEAREST, _BILINEAR, _BICUBIC = 1, 2, 3
# Cubic coefficient of ncnn's bicubic (interpolate_cubic in src/layer/interp.cpp).
_CUBIC_A = -0.75
_EDGE = 1  # ncnn's Padding: repeat the edge (src/layer/padding.cpp)

# ncnn's GridSample (src/layer/gridsample.cpp), and both names that ONNX has had for a mode.
_GRID_MODES = {"bilinear": 1, "linear": 1, "bicubic": 3, "cubic": 3}
_GRID_PADDING = {"zeros": 1, "border": 2}


def convert_resize(node: Node, build: Builder) -> None:
    """Resize and Upsample of the two spatial axes → Interp."""
    tensor, result = node.inputs[0], node.outputs[0]
    shape, wanted = (map_shape(node, build, name, batch=True) for name in (tensor, result))
    if build.shape(tensor)[:2] != build.shape(result)[:2]:
        raise node.unsupported("only the two spatial axes of a feature map can be resized", "axes")
    _check_options(node)
    given = _scales(node, build, shape[1:], wanted[1:])
    scales = given or [target / size for size, target in zip(shape[1:], wanted[1:], strict=True)]
    extent = _extent(given, shape[1:], wanted[1:])
    mode = node.attribute("mode", "nearest")
    # Before opset 11 there was no attribute that says where to sample: these are the points that it sampled at.
    old = node.opset < 11
    coordinates = node.attribute("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    blob = build.blob(node, tensor, shape)
    if mode == "nearest":
        rounding = node.attribute("nearest_mode", "floor" if old else "round_prefer_floor")
        _check_nearest(node, coordinates, rounding, zip(shape[1:], wanted[1:], scales, strict=True))
        _interpolate(node, build, blob, wanted, extent, _NEAREST)
    elif mode == "linear" and coordinates == "asymmetric":
        _asymmetric(node, build, blob, shape, wanted)
    elif mode in ("linear", "cubic"):
        kind, align = _smooth(node, mode, coordinates, wanted[1:])
        _interpolate(node, build, blob, wanted, extent, kind, align)
    else:
        raise node.unsupported(f"ncnn's Interp has no mode {mode!r}", "mode")


def _interpolate(
    node: Node, build: Builder, blob: str, wanted: Shape, extent: Params, kind: int, align: int = 0
) -> None:
    build.add("Interp", node, [blob], shapes=[wanted], resize_type=kind, **extent, align_corner=align)


def _extent(scales: Sequence[float], sizes: Shape, wanted: Shape) -> Params:
    """Say how large the result is: by scales where ONNX does, so that the model fits other input sizes as well.

    By sizes where they are no exact quotients: ncnn cuts size · scale off in float32.
    """
    if scales and all(s * size == target for s, size, target in zip(scales, sizes, wanted, strict=True)):
        return {"height_scale": scales[0], "width_scale": scales[1]}
    return {"output_height": wanted[0], "output_width": wanted[1]}


def _check_options(node: Node) -> None:
    for name, only in (("antialias", 0), ("exclude_outside", 0), ("keep_aspect_ratio_policy", "stretch")):
        if node.attribute(name, only) != only:
            raise node.unsupported("ncnn's Interp has no such option", name)
    if [axis % 4 for axis in node.attribute("axes", [2, 3])] not in ([2, 3], [0, 1, 2, 3]):
        raise node.unsupported("only the two spatial axes, in their order, can be resized", "axes")
    for name in ("extrapolation_value", "nearest_mode", "cubic_coeff_a"):
        node.attribute(name)  # concerns other modes, or is read below


def _scales(node: Node, build: Builder, sizes: Shape, wanted: Shape) -> list[float]:
    """Return the scales that the node gives for the two axes, or none.

    They have to be output/input, for ncnn, given sizes, takes that quotient.
    """
    scales: Array | None = np.array(node.attribute("scales", []), np.float32)
    place = 2 if node.opset >= 11 else 1
    if node.has_input(place):
        scales = build.constant(node.inputs[place])
        if scales is None:
            raise node.unsupported("its scales should be constants", "scales")
    if scales is None or scales.size == 0:
        return []
    # A sequence is a map of one row: its height stays.
    given = [1.0, *map(float, scales)][-2:] if len(build.shape(node.inputs[0])) == 3 else list(scales[-2:])
    for scale, size, target in zip(given, sizes, wanted, strict=True):
        if abs(float(scale) * size - target) > 1e-3:
            raise node.unsupported(
                f"scale {scale} of size {size} is rounded to {target}; give the size", "scales"
            )
    return [float(scale) for scale in given]


def _check_nearest(node: Node, coordinates: str, rounding: str, axes: zip[tuple[int, int, float]]) -> None:
    """Refuse what does not take the values that ncnn takes: those at floor(x · in / out)."""
    for size, target, scale in axes:
        points = _points(node, coordinates, size, target, np.float32(scale))
        rounded = {
            "round_prefer_floor": np.ceil(points - np.float32(0.5)),
            "round_prefer_ceil": np.floor(points + np.float32(0.5)),
            "floor": np.floor(points),
            "ceil": np.ceil(points),
        }[rounding]
        step = np.float32(size) / np.float32(target)
        taken = np.floor(np.arange(target, dtype=np.float32) * step)
        if np.any(np.clip(rounded, 0, size - 1) != np.clip(taken, 0, size - 1)):
            raise node.unsupported(
                f"from {size} to {target} with {coordinates} and {rounding} other values are nearest than ncnn "
                "takes: asymmetric with floor can be converted",
                "nearest_mode",
            )


def _points(node: Node, coordinates: str, size: int, target: int, scale: np.float32) -> Array:
    """Return where each value of an axis is sampled, in float32 as onnxruntime computes it."""
    places: Array = np.arange(target, dtype=np.float32)
    half = np.float32(0.5)
    if coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and target > 1):
        centres: Array = (places + half) / scale - half
        return centres
    if coordinates == "pytorch_half_pixel":
        return np.zeros_like(places)
    if coordinates == "asymmetric":
        return places / scale
    if coordinates == "align_corners":
        corners: Array = places * np.float32(size - 1) / np.float32(max(target - 1, 1))
        return corners
    raise node.unsupported(f"ncnn does not sample at {coordinates!r}", "coordinate_transformation_mode")


def _asymmetric(node: Node, build: Builder, blob: str, shape: Shape, wanted: Shape) -> None:
    """Sample at x · in / out, for a whole factor: up to the last value as with aligned corners, then that value."""
    factors = [target // size for size, target in zip(shape[1:], wanted[1:], strict=True)]
    if any(
        size * factor != target for size, factor, target in zip(shape[1:], factors, wanted[1:], strict=True)
    ):
        raise node.unsupported(
            f"asymmetric from {shape[1:]} to {wanted[1:]} is no whole factor; export it with half_pixel",
            "coordinate_transformation_mode",
        )
    inner = (shape[0], *(factor * (size - 1) + 1 for size, factor in zip(shape[1:], factors, strict=True)))
    extent = _extent([], shape[1:], inner[1:])
    sampled = build.add_hidden("Interp", node, [blob], inner, resize_type=_BILINEAR, **extent, align_corner=1)
    build.add(
        "Padding", node, [sampled], shapes=[wanted], bottom=factors[0] - 1, right=factors[1] - 1, type=_EDGE
    )


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


def convert_grid_sample(node: Node, build: Builder) -> None:
    """GridSample of feature maps → GridSample."""
    mode, padding = node.attribute("mode", "bilinear"), node.attribute("padding_mode", "zeros")
    if mode not in _GRID_MODES:
        raise node.unsupported("ncnn rounds halves upward, ONNX to even: only bilinear and bicubic", "mode")
    if padding not in _GRID_PADDING:
        raise node.unsupported(
            "ncnn reflects but once: only zeros and border can be converted", "padding_mode"
        )
    source, target = (map_shape(node, build, tensor) for tensor in (node.inputs[0], node.outputs[0]))
    grid = build.blob(node, node.inputs[1], (*target[1:], 2))
    build.add(
        "GridSample",
        node,
        [build.blob(node, node.inputs[0], source), grid],
        shapes=[target],
        sample_type=_GRID_MODES[mode],
        padding_mode=_GRID_PADDING[padding],
        align_corner=int(node.attribute("align_corners", 0)),
    )
