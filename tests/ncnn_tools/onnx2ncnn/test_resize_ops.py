"""Resize, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.onnx2ncnn import convert_onnx

Check = Callable[..., Any]
Size = tuple[int, int]

CHANNELS = st.sampled_from([1, 3, 4, 8, 13, 16])
SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
LARGER_SIZES = st.tuples(st.integers(2, 12), st.integers(2, 12))


def sizes_of(channels: int, size: Size) -> dict[str, np.ndarray]:
    return {"sizes": np.array([1, channels, *size])}


BY_SIZES = ["x", "", "", "sizes"]
BY_SCALES = ["x", "", "scales"]
CONVERTIBLE = ("half_pixel", "pytorch_half_pixel", "asymmetric")  # with nearest


@given(
    channels=CHANNELS,
    size=LARGER_SIZES,
    target=LARGER_SIZES,
    mode=st.sampled_from(["linear", "cubic"]),
    coordinates=st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners"]),
    opset=st.sampled_from([11, 13, 18, 19]),
)
def test_smooth_modes(
    check_operator: Check, channels: int, size: Size, target: Size, mode: str, coordinates: str, opset: int
) -> None:
    order = BY_SIZES
    constants: dict[str, np.ndarray] = sizes_of(channels, target)
    if opset < 13:  # roi and scales could not be left out
        constants |= {"roi": np.zeros(0, np.float32), "scales": np.zeros(0, np.float32)}
        order = ["x", "roi", "scales", "sizes"]
    check_operator(
        "Resize",
        {"x": (1, channels, *size)},
        constants,
        order=order,
        opset=opset,
        mode=mode,
        coordinate_transformation_mode=coordinates,
        cubic_coeff_a=-0.75,
    )


@given(
    size=SIZES,
    target=SIZES,
    mode=st.sampled_from(["linear", "cubic"]),
    coordinates=st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners"]),
)
def test_sizes_of_one_are_exact_or_refused(
    refusal: Check, size: Size, target: Size, mode: str, coordinates: str
) -> None:
    error = refusal(
        "Resize",
        {"x": (1, 3, *size)},
        sizes_of(3, target),
        order=BY_SIZES,
        mode=mode,
        coordinate_transformation_mode=coordinates,
    )
    assert error is None or (min(target) == 1 and error.attribute == "coordinate_transformation_mode")


@given(channels=CHANNELS, size=SIZES, scale=st.sampled_from([0.5, 2.0, 3.0, 4.0]))
def test_smooth_modes_by_scales(check_operator: Check, channels: int, size: Size, scale: float) -> None:
    even = tuple(2 * side for side in size)
    check_operator(
        "Resize",
        {"x": (1, channels, *even)},
        {"scales": np.array([1, 1, scale, scale], np.float32)},
        order=BY_SCALES,
        mode="linear",
    )


@given(
    channels=CHANNELS,
    size=SIZES,
    factors=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    coordinates=st.sampled_from(["half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "asymmetric"]),
    rounding=st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor"]),
)
def test_nearest_by_whole_factors_is_exact_or_refused(
    refusal: Check, channels: int, size: Size, factors: Size, coordinates: str, rounding: str
) -> None:
    error = refusal(
        "Resize",
        {"x": (1, channels, *size)},
        {"scales": np.array([1, 1, *factors], np.float32)},
        order=BY_SCALES,
        opset=19,
        mode="nearest",
        coordinate_transformation_mode=coordinates,
        nearest_mode=rounding,
    )
    # floor goes with asymmetric, rounding with half pixels
    convertible = (coordinates == "asymmetric") == (rounding == "floor") and coordinates in CONVERTIBLE
    assert (error is None) == convertible


@given(channels=CHANNELS, size=SIZES, target=SIZES)
def test_nearest_to_any_size(check_operator: Check, channels: int, size: Size, target: Size) -> None:
    check_operator(
        "Resize",
        {"x": (1, channels, *size)},
        sizes_of(channels, target),
        order=BY_SIZES,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def test_scales_of_the_spatial_axes_only(check_operator: Check) -> None:
    scales = {"scales": np.array([2, 3], np.float32)}
    check_operator("Resize", {"x": (1, 3, 4, 5)}, scales, order=BY_SCALES, mode="linear", axes=[2, 3])


@pytest.mark.parametrize("axes", [[3], [3, 2]])
def test_scales_of_other_axes_are_refused(check_refused: Check, axes: list[int]) -> None:
    scales = {"scales": np.array([2, 3], np.float32)[: len(axes)]}
    check_refused(
        "Resize", {"x": (1, 3, 4, 5)}, scales, order=BY_SCALES, attribute="axes", mode="linear", axes=axes
    )


REFUSED = [
    ("antialias", {"mode": "linear", "antialias": 1}),
    ("exclude_outside", {"mode": "cubic", "exclude_outside": 1}),
    ("cubic_coeff_a", {"mode": "cubic", "cubic_coeff_a": -0.5}),
    ("coordinate_transformation_mode", {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}),
    ("nearest_mode", {"mode": "nearest", "nearest_mode": "ceil"}),
    ("nearest_mode", {"mode": "nearest", "coordinate_transformation_mode": "align_corners"}),
    ("keep_aspect_ratio_policy", {"mode": "linear", "keep_aspect_ratio_policy": "not_larger"}),
]


@pytest.mark.parametrize(("attribute", "attributes"), REFUSED)
def test_what_ncnn_does_not_have_is_refused(
    check_refused: Check, attribute: str, attributes: dict[str, Any]
) -> None:
    check_refused(
        "Resize", {"x": (1, 3, 4, 5)}, sizes_of(3, (8, 10)), order=BY_SIZES, attribute=attribute, **attributes
    )


@pytest.mark.parametrize(("mode", "width"), [("linear", 9), ("linear", 3), ("nearest", 8)])
def test_sequences(check_operator: Check, mode: str, width: int) -> None:
    check_operator("Resize", {"x": (1, 3, 4)}, {"sizes": np.array([1, 3, width])}, order=BY_SIZES, mode=mode)


def test_other_axes_are_refused(check_refused: Check) -> None:
    sizes = {"sizes": np.array([1, 6, 4, 4])}
    check_refused("Resize", {"x": (1, 3, 4, 4)}, sizes, order=BY_SIZES, attribute="axes")


def test_scales_that_do_not_give_whole_sizes_are_refused(check_refused: Check) -> None:
    scales = {"scales": np.array([1, 1, 1.3, 1.3], np.float32)}
    check_refused("Resize", {"x": (1, 3, 4, 4)}, scales, order=BY_SCALES, attribute="scales", mode="linear")


def test_resize_of_opset_10_is_refused(check_refused: Check) -> None:
    # It samples at other points than the later ones, and has no attribute that would say so.
    scales = {"scales": np.array([1, 1, 2, 2], np.float32)}
    check_refused("Resize", {"x": (1, 3, 4, 4)}, scales, opset=10, mode="linear")


def test_computed_scales_are_refused(make_model: Callable[..., onnx.ModelProto]) -> None:
    node = onnx.helper.make_node("Resize", ["x", "", "scales"], ["y"], name="the_node", mode="linear")
    model = make_model([node], {"x": (1, 3, 4, 4), "scales": (1, 4)}, ["y"])
    with pytest.raises(UnsupportedOperatorError):
        convert_onnx(model)
