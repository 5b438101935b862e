from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mobiledeploy.errors import UsageError
from mobiledeploy.portrait.compose import background_of, before, blur, grey


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


BACKDROP = noise(50, 20, seed=9)


@given(
    st.integers(1, 60), st.integers(1, 60), st.sampled_from(["grey", "blur", "picture"]), st.integers(0, 99)
)
@settings(max_examples=60, deadline=None)
def test_the_persons_pixels_are_the_sources_own(width: int, height: int, kind: str, seed: int) -> None:
    picture = noise(width, height, seed)
    opacity = np.random.default_rng(seed).choice(np.array([0, 100, 254, 255], np.uint8), (height, width))
    compose = {"grey": grey, "blur": blur, "picture": before(BACKDROP)}[kind]
    result = compose(picture, Image.fromarray(opacity))
    assert (result.mode, result.size) == ("RGB", (width, height))
    person = opacity == 255
    np.testing.assert_array_equal(np.asarray(result)[person], np.asarray(picture)[person])


def test_grey_is_rec_601_luma_mixed_by_alpha() -> None:
    picture = Image.fromarray(np.full((1, 3, 3), (200, 100, 50), np.uint8))
    alpha = Image.fromarray(np.array([[0, 128, 255]], np.uint8))
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    expected = [np.full(3, luma), np.array([200, 100, 50]) * 128 / 255 + luma * 127 / 255, [200, 100, 50]]
    np.testing.assert_allclose(np.asarray(grey(picture, alpha))[0], expected, atol=1)


def test_the_persons_colour_does_not_run_into_the_blur() -> None:
    picture = np.full((200, 300, 3), (20, 60, 200), np.uint8)
    picture[60:, 100:200] = (220, 30, 30)
    opacity = np.zeros((200, 300), np.uint8)
    opacity[60:, 100:200] = 255
    result = np.asarray(blur(Image.fromarray(picture), Image.fromarray(opacity)))
    np.testing.assert_allclose(result[opacity == 0], [[20, 60, 200]] * (opacity == 0).sum(), atol=3)


def test_the_blur_blurs() -> None:
    picture = noise(400, 300)
    result = np.asarray(blur(picture, Image.new("L", picture.size, 0)), float)
    assert result.std() < 5 < np.asarray(picture, float).std()
    assert result.mean() == pytest.approx(np.asarray(picture).mean(), abs=2)


def test_no_fringe_of_the_old_background_before_a_picture() -> None:
    """A red person before green, with a soft edge; before blue, the edge must show no green."""
    ramp = np.clip((np.arange(300) - 140) / 8, 0, 1)[None].repeat(200, 0)
    opacity = np.round(255 * ramp).astype(np.uint8)
    share = opacity[..., None] / 255
    person, old, new = np.array([210, 40, 30]), np.array([20, 180, 40]), np.array([30, 40, 200])
    picture = Image.fromarray(np.round(share * person + (1 - share) * old).astype(np.uint8))
    result = before(Image.new("RGB", (10, 10), tuple(new)))(picture, Image.fromarray(opacity))
    ideal = share * person + (1 - share) * new
    plain = share * np.asarray(picture) + (1 - share) * new
    assert np.abs(np.asarray(result) - ideal).max() < 8
    assert np.abs(plain - ideal).max() > 30


def test_a_picture_is_cropped_to_fit_whatever_the_size() -> None:
    halves = Image.new("RGB", (100, 100), "red")
    halves.paste("blue", (50, 0, 100, 100))
    compose = before(halves)
    for size in ((80, 20), (20, 80), (7, 7)):
        result = compose(noise(*size), Image.new("L", size, 0))
        assert result.getpixel((0, 0)) == (255, 0, 0)
        assert result.getpixel((size[0] - 1, size[1] - 1)) == (0, 0, 255)


def test_backgrounds_by_name(tmp_path: Path) -> None:
    assert background_of("grey") is grey
    assert background_of("blur") is blur
    BACKDROP.save(tmp_path / "b.png")
    result = background_of(str(tmp_path / "b.png"))(noise(50, 20), Image.new("L", (50, 20), 0))
    np.testing.assert_array_equal(np.asarray(result), np.asarray(BACKDROP))
    with pytest.raises(UsageError, match="sepia"):
        background_of("sepia")
