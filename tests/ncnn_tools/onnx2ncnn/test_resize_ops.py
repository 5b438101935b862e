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
    target=SIZES,
    coordinates=st.sampled_from(["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]),
    rounding=st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
)
def test_nearest_is_exact_or_refused(
    refusal: Check, channels: int, size: Size, target: Size, coordinates: str, rounding: str
) -> None:
    error = refusal(
        "Resize",
        {"x": (1, channels, *size)},
        sizes_of(channels, target),
        order=BY_SIZES,
        opset=19,
        mode="nearest",
        coordinate_transformation_mode=coordinates,
        nearest_mode=rounding,
    )
    assert error is None or error.attribute == "nearest_mode"


@given(
    channels=CHANNELS,
    size=SIZES,
    factors=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    way=st.sampled_from(
        [
            ("half_pixel", "round_prefer_floor"),
            ("half_pixel", "round_prefer_ceil"),
            ("pytorch_half_pixel", "round_prefer_floor"),
            ("asymmetric", "floor"),
        ]
    ),
)
def test_nearest_by_whole_factors(
    check_operator: Check, channels: int, size: Size, factors: Size, way: tuple[str, str]
) -> None:
    check_operator(
        "Resize",
        {"x": (1, channels, *size)},
        {"scales": np.array([1, 1, *factors], np.float32)},
        order=BY_SCALES,
        mode="nearest",
        coordinate_transformation_mode=way[0],
        nearest_mode=way[1],
    )


@given(channels=CHANNELS, size=SIZES, factors=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_asymmetric_by_whole_factors(check_operator: Check, channels: int, size: Size, factors: Size) -> None:
    check_operator(
        "Resize",
        {"x": (1, channels, *size)},
        {"scales": np.array([1, 1, *factors], np.float32)},
        order=BY_SCALES,
        mode="linear",
        coordinate_transformation_mode="asymmetric",
    )


@given(
    operator=st.sampled_from([("Upsample", 9), ("Resize", 10)]),
    size=SIZES,
    factors=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    mode=st.sampled_from(["nearest", "linear"]),
)
def test_the_points_of_old_opsets(
    check_operator: Check, operator: tuple[str, int], size: Size, factors: Size, mode: str
) -> None:
    scales = {"scales": np.array([1, 1, *factors], np.float32)}
    check_operator(operator[0], {"x": (1, 3, *size)}, scales, opset=operator[1], mode=mode)


def test_upsample_with_its_scales_as_an_attribute(check_operator: Check) -> None:
    check_operator("Upsample", {"x": (1, 3, 4, 5)}, opset=7, mode="nearest", scales=[1.0, 1.0, 2.0, 3.0])


def test_batches(check_operator: Check) -> None:
    sizes = {"sizes": np.array([2, 3, 8, 7])}
    check_operator("Resize", {"x": (2, 3, 4, 5)}, sizes, order=BY_SIZES, mode="linear")


@given(
    channels=CHANNELS,
    size=SIZES,
    target=SIZES,
    mode=st.sampled_from(["bilinear", "bicubic"]),
    padding=st.sampled_from(["zeros", "border"]),
    align=st.booleans(),
)
def test_grid_sample(
    check_operator: Check, channels: int, size: Size, target: Size, mode: str, padding: str, align: bool
) -> None:
    check_operator(
        "GridSample",
        {"x": (1, channels, *size), "grid": (1, *target, 2)},
        mode=mode,
        padding_mode=padding,
        align_corners=int(align),
    )


def test_grid_sample_refusals(check_refused: Check) -> None:
    shapes = {"x": (1, 3, 4, 4), "grid": (1, 5, 6, 2)}
    check_refused("GridSample", shapes, attribute="mode", mode="nearest")
    check_refused("GridSample", shapes, attribute="padding_mode", padding_mode="reflection")
    check_refused("GridSample", {"x": (2, 3, 4, 4), "grid": (2, 5, 6, 2)})


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


@pytest.mark.parametrize("axes", [[3], [3, 2], [-2]])
def test_scales_of_some_axes(check_operator: Check, axes: list[int]) -> None:
    scales = {"scales": np.array([2, 3], np.float32)[: len(axes)]}
    check_operator("Resize", {"x": (1, 3, 4, 5)}, scales, order=BY_SCALES, mode="linear", axes=axes)


REFUSED = [
    ("antialias", {"mode": "linear", "antialias": 1}),
    ("exclude_outside", {"mode": "cubic", "exclude_outside": 1}),
    ("cubic_coeff_a", {"mode": "cubic", "cubic_coeff_a": -0.5}),
    (
        "coordinate_transformation_mode",
        {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"},
    ),
    ("nearest_mode", {"mode": "nearest", "nearest_mode": "ceil"}),
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


@given(
    size=LARGER_SIZES,
    scales=st.tuples(*[st.sampled_from([0.6, 0.75, 1.0, 1.3, 2.0, 2.6])] * 2),
    mode=st.sampled_from(["nearest", "linear", "cubic"]),
    coordinates=st.sampled_from(["half_pixel", "asymmetric"]),
)
def test_scales_that_do_not_give_whole_sizes(
    refusal: Check, size: Size, scales: tuple[float, float], mode: str, coordinates: str
) -> None:
    error = refusal(
        "Resize",
        {"x": (1, 3, *size)},
        {"scales": np.array([1, 1, *scales], np.float32)},
        order=BY_SCALES,
        mode=mode,
        coordinate_transformation_mode=coordinates,
        nearest_mode="floor",
        cubic_coeff_a=-0.75,
    )
    if error is not None and error.attribute == "scales":
        # 5 · 2.6 is 13 or 12, as it is rounded to float32 or not
        assert "another size" in error.reason or "leaves an axis" in error.reason
    else:
        assert error is None or (mode, coordinates) not in (("linear", "half_pixel"), ("cubic", "half_pixel"))


def test_corners_of_a_size_that_is_not_whole_are_refused(check_refused: Check) -> None:
    scales = {"scales": np.array([1, 1, 1.3, 1.3], np.float32)}
    options = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    check_refused("Resize", {"x": (1, 3, 4, 4)}, scales, order=BY_SCALES, attribute="scales", **options)


def test_smooth_downsampling_of_opset_10_is_refused(check_refused: Check) -> None:
    scales = {"scales": np.array([1, 1, 0.5, 0.5], np.float32)}
    attribute = "coordinate_transformation_mode"
    check_refused("Resize", {"x": (1, 3, 4, 4)}, scales, opset=10, attribute=attribute, mode="linear")


def test_computed_scales_are_refused(make_model: Callable[..., onnx.ModelProto]) -> None:
    node = onnx.helper.make_node("Resize", ["x", "", "scales"], ["y"], name="the_node", mode="linear")
    model = make_model([node], {"x": (1, 3, 4, 4), "scales": (1, 4)}, ["y"])
    with pytest.raises(UnsupportedOperatorError):
        convert_onnx(model)


@pytest.mark.parametrize(
    ("second", "by_scales"),
    [
        ({"s": np.array([1, 1, 2, 2], np.float32)}, True),
        ({"s": np.array([1, 1, 1.5, 0.5], np.float32)}, True),
        ({"s": np.array([1, 1, 4 / 3, 1], np.float32)}, False),  # no float32: 6 · 1.3333334 is more than 8
        ({"": np.zeros(0), "n": np.array([1, 3, 12, 16])}, False),
    ],
)
def test_scales_stay_scales_where_they_give_the_size_exactly(
    make_model: Callable[..., onnx.ModelProto], second: dict[str, np.ndarray], by_scales: bool
) -> None:
    """Then the model fits pictures of other sizes too."""
    node = onnx.helper.make_node("Resize", ["x", "", *second], ["y"], mode="linear")
    constants = {name: value for name, value in second.items() if name}
    graph = convert_onnx(make_model([node], {"x": (1, 3, 6, 8)}, ["y"], constants))
    layer = next(layer for layer in graph.layers if layer.type == "Interp")
    assert (layer.get("output_height") == layer.get("output_width") == 0) == by_scales
    if by_scales:
        assert [layer.get("height_scale"), layer.get("width_scale")] == second["s"].tolist()[2:]
