from __future__ import annotations

import pytest

from mobiledeploy.errors import CheckFailedError, UsageError
from mobiledeploy.verify import Bounds, Verification, check_bounds, check_request
from mobiledeploy.verify.figures import MatteFigures, OutputFigures, PictureFigures, VariantFigures


def figures(**changes: float | None) -> MatteFigures:
    values = {"iou": 0.9, "mae": 0.1, "sad": 5.0, "mse": 0.05, "gradient": 2.0, "edge": 0.2, "flicker": 0.3}
    return MatteFigures(**(values | changes))


@pytest.fixture
def verification(tiny_bundle) -> Verification:
    """Two pictures: the second has no edge and follows no frame, and is worse against the truth."""
    outputs = {"alpha": OutputFigures(0.5, 0.1)}
    int8 = (
        PictureFigures("a.png", outputs, figures(), figures()),
        PictureFigures(
            "b.png", {"alpha": OutputFigures(0.25, 0.1)}, figures(edge=None, flicker=None), figures(iou=0.6)
        ),
    )
    reference = (PictureFigures("a.png", {}, None, figures(iou=0.1)),)
    variants = (VariantFigures("onnx", reference), VariantFigures("int8", int8))
    return Verification(tiny_bundle, "pictures", True, variants)


@pytest.mark.parametrize(
    "bounds",
    [
        {},
        {"min_iou": 0.9, "max_mae": 0.1, "max_sad": 5, "max_edge": 0.2, "max_flicker": 0.3, "max_error": 0.5},
        {"min_iou": 0.6, "against": "truth"},
    ],
)
def test_a_figure_at_its_bound_keeps_it(verification, bounds: dict) -> None:
    check_bounds(verification, Bounds(**bounds))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"min_iou": 0.7, "against": "truth"}, "int8: iou against truth is 0.6, under 0.7, on b.png"),
        ({"max_edge": 0.19}, "int8: edge against onnx is 0.2, over 0.19, on a.png"),
        ({"max_flicker": 0.1}, "int8: flicker against onnx is 0.3, over 0.1, on a.png"),
        ({"max_error": 0.4}, "int8: error of output 'alpha' is 0.5, over 0.4, on a.png"),
    ],
)
def test_a_broken_bound_names_variant_figure_and_picture(verification, bounds: dict, message: str) -> None:
    with pytest.raises(CheckFailedError) as caught:
        check_bounds(verification, Bounds(**bounds))
    assert caught.value.message == message
    assert caught.value.exit_code == 1


def test_several_broken_bounds_are_listed(verification) -> None:
    with pytest.raises(CheckFailedError, match="4 figures are out of bounds") as caught:
        check_bounds(verification, Bounds(max_mae=0.05, max_sad=1))
    assert [line.split(" on ")[1] for line in caught.value.hint.splitlines()] == ["a.png", "b.png"] * 2


@pytest.mark.parametrize(
    ("lacks", "bounds", "clip", "message"),
    [
        ("mask", {"min_iou": 0.9}, False, "names no mask"),
        ("training", {"max_mae": 0.9}, False, "untrained"),
        ("", {"max_flicker": 0.1}, False, "frame to frame"),
    ],
)
def test_a_bound_that_cannot_be_judged_is_refused_before_the_work(
    tiny_bundle, lacking, lacks: str, bounds: dict, clip: bool, message: str
) -> None:
    bundle = lacking(lacks)
    with pytest.raises(UsageError, match=message):
        check_request(Bounds(**bounds), bundle, clip=clip)
    check_request(Bounds(max_error=1), bundle, clip=clip)
    check_request(Bounds(min_iou=0.9, max_flicker=1), tiny_bundle, clip=True)


def test_a_bound_on_what_was_not_measured_is_a_usage_error(verification, tiny_bundle) -> None:
    bare = Verification(tiny_bundle, "pictures", False, (VariantFigures("int8", ()),))
    with pytest.raises(UsageError, match="'flicker' against truth"):
        check_bounds(bare, Bounds(max_flicker=1, against="truth"))
    check_bounds(bare, Bounds(against="truth"))
