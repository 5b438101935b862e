"""Resize, Upsample → Interp, and GridSample, where ncnn samples at the same points as ONNX says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.onnx2ncnn.view import Shape
from ncnn_tools.onnx2ncnn.window import map_shape
from ncnn_tools.schema import ParamValue

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
    given = _given_scales(node, build)
    scales = given or [target / size for size, target in zip(shape[1:], wanted[1:], strict=True)]
    exact = all(
        scale * size == target for scale, size, target in zip(scales, shape[1:], wanted[1:], strict=True)
    )
    mode = node.attribute("mode", "nearest")
    # Before opset 11 there was no attribute that says where to sample: these are the points that it sampled at.
    old = node.opset < 11
    coordinates = node.attribute("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    blob = build.blob(node, tensor, shape)
    # By scales where ONNX does, so that the model fits other input sizes as well.
    by_scales: dict[str, ParamValue] = {"height_scale": float(scales[0]), "width_scale": float(scales[1])}
    size = by_scales if given and exact else _size_params(node, shape, wanted, scales)
    if coordinates == "align_corners" and "height_scale" in size and not exact:
        # ONNX's reference aligns with the corners of the size before it is rounded, onnxruntime with those after.
        raise node.unsupported(f"scales {scales} do not give whole sizes; give the sizes", "scales")
    if mode == "nearest":
        rounding = node.attribute("nearest_mode", "floor" if old else "round_prefer_floor")
        steps = [
            _step(*axis, "height_scale" in size) for axis in zip(shape[1:], wanted[1:], scales, strict=True)
        ]
        for axis in zip(shape[1:], wanted[1:], scales, steps, strict=True):
            _check_nearest(node, coordinates, rounding, *axis)
        build.add("Interp", node, [blob], shapes=[wanted], resize_type=_NEAREST, **size)
    elif mode == "linear" and coordinates == "asymmetric":
        _asymmetric(node, build, blob, shape, wanted)
    elif mode in ("linear", "cubic"):
        kind, align = _smooth(node, mode, coordinates, wanted[1:])
        build.add("Interp", node, [blob], shapes=[wanted], resize_type=kind, align_corner=align, **size)
    else:
        raise node.unsupported(f"ncnn's Interp has no mode {mode!r}", "mode")


def _check_options(node: Node) -> None:
    for name, only in (("antialias", 0), ("exclude_outside", 0), ("keep_aspect_ratio_policy", "stretch")):
        if node.attribute(name, only) != only:
            raise node.unsupported("ncnn's Interp has no such option", name)
    for name in ("axes", "extrapolation_value", "nearest_mode", "cubic_coeff_a"):
        node.attribute(name)  # concerns other modes, or is read below


def _given_scales(node: Node, build: Builder) -> list[float]:
    """Return the scales that the node gives for the two axes, or none."""
    scales: Array | None = np.array(node.attribute("scales", []), np.float32)
    place = 2 if node.opset >= 11 else 1
    if node.has_input(place):
        scales = build.constant(node.inputs[place])
        if scales is None:
            raise node.unsupported("its scales should be constants", "scales")
    if scales is None or scales.size == 0:
        return []
    rank = len(build.shape(node.inputs[0]))
    axes = [axis % rank for axis in node.attribute("axes", list(range(rank)))]
    of_axis = dict(zip(axes, (float(scale) for scale in scales), strict=True))
    # A sequence is a map of one row: its height stays.
    return [of_axis.get(axis, 1.0) if axis > 1 else 1.0 for axis in (rank - 2, rank - 1)]


def _size_params(node: Node, shape: Shape, wanted: Shape, scales: Sequence[float]) -> dict[str, ParamValue]:
    """Say what size the result has: as a size, from which ncnn takes the scales, or else as scales."""
    pairs = list(zip(shape[1:], wanted[1:], scales, strict=True))
    if all(abs(scale * size - target) <= 1e-3 for size, target, scale in pairs):
        return {"output_height": wanted[1], "output_width": wanted[2]}
    for size, target, scale in pairs:
        if size == target and scale != 1 and node.attribute("mode") != "nearest":
            raise node.unsupported(f"ncnn leaves an axis of {size} as it is, whatever its scale", "scales")
        if int(np.float32(size) * np.float32(scale)) != target:
            raise node.unsupported(f"ncnn makes another size than {target} of {size} times {scale}", "scales")
    return {"height_scale": float(scales[0]), "width_scale": float(scales[1])}


def _step(size: int, target: int, scale: float, by_scale: bool) -> np.float32:
    """Return how far apart ncnn takes values with nearest."""
    numerator, denominator = (1, scale) if by_scale else (size, target)
    quotient: np.float32 = np.float32(numerator) / np.float32(denominator)
    return quotient


def _check_nearest(
    node: Node, coordinates: str, rounding: str, size: int, target: int, scale: float, step: np.float32
) -> None:
    """Refuse what does not take the values of an axis that ncnn takes: those at floor(x · step).

    Where rounding to float32 decides, as it may where a point lies halfway, it is not known what is taken.
    """
    exact = Fraction(scale).limit_denominator(max(size, 1))
    exact = exact if abs(exact - Fraction(scale)) < 1e-6 else Fraction(scale)
    ways = (
        _taken(node, coordinates, rounding, size, target, Fraction, exact),
        _taken(node, coordinates, rounding, size, target, np.float32, np.float32(scale)),
    )
    ours = np.clip(np.floor(np.arange(target, dtype=np.float32) * step), 0, size - 1)
    if any(np.any(theirs != ours) for theirs in ways):
        raise node.unsupported(
            f"from {size} to {target} with {coordinates} and {rounding} other values are nearest than ncnn "
            "takes: asymmetric with floor can be converted",
            "nearest_mode",
        )


def _taken(
    node: Node,
    coordinates: str,
    rounding: str,
    size: int,
    target: int,
    number: Callable[[int], Any],
    scale: Any,
) -> list[int]:
    """Return the place of the value that is nearest to each sampled point, computed with a type of number."""
    half = number(1) / number(2)
    points = _points(node, coordinates, size, [number(place) for place in range(target)], scale, half)
    rounds = {
        "round_prefer_floor": lambda point: math.ceil(point - half),
        "round_prefer_ceil": lambda point: math.floor(point + half),
        "floor": math.floor,
        "ceil": math.ceil,
    }
    return [min(max(rounds[rounding](point), 0), size - 1) for point in points]


def _points(node: Node, coordinates: str, size: int, places: list[Any], scale: Any, half: Any) -> list[Any]:
    """Return where each value of an axis is sampled (ONNX's Resize)."""
    last = max(len(places) - 1, 1)
    if coordinates == "pytorch_half_pixel" and len(places) == 1:
        return [half - half]
    if coordinates in ("half_pixel", "pytorch_half_pixel"):
        return [(place + half) / scale - half for place in places]
    if coordinates == "asymmetric":
        return [place / scale for place in places]
    if coordinates == "align_corners":
        return [place * (size - 1) / last for place in places]
    raise node.unsupported(
        f"ncnn does not sample at {coordinates!r}: export with half_pixel or align_corners",
        "coordinate_transformation_mode",
    )


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
    size = {"output_height": inner[1], "output_width": inner[2]}
    sampled = build.add_hidden("Interp", node, [blob], inner, resize_type=_BILINEAR, align_corner=1, **size)
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
    raise node.unsupported(
        f"ncnn does not sample at {coordinates!r}: export with half_pixel or align_corners",
        "coordinate_transformation_mode",
    )


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
