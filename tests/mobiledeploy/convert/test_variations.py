"""Copies of pictures that a camera could as well have taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.convert.variations import with_variations
from mobiledeploy.preprocessing import Preprocessing

PREPROCESSING = Preprocessing((24, 32), "bgr", mean=(104.0, 112.0, 121.0), scale=(1 / 255, 1 / 100, 1 / 50))


def samples(count: int) -> list[dict[str, np.ndarray]]:
    """Return pictures of smooth noise, brighter to the left."""
    random = np.random.default_rng(5)
    slope = np.linspace(200, 40, 32)[None, :, None]
    pictures = np.clip(slope + random.normal(0, 5, (count, 24, 32, 3)), 0, 255).astype(np.uint8)
    return [{"x": PREPROCESSING.tensor(picture)[0]} for picture in pictures]


@pytest.mark.parametrize(
    ("count", "wanted", "found"), [(4, 24, 24), (4, 100, 24), (8, 20, 20), (24, 24, 24), (3, 2, 3)]
)
def test_the_samples_come_first_and_at_most_five_copies_of_each(count: int, wanted: int, found: int) -> None:
    given_samples = samples(count)
    varied = with_variations(given_samples, PREPROCESSING, wanted)
    assert len(varied) == found
    assert varied[:count] == given_samples
    assert {sample["x"].shape for sample in varied} == {(3, 24, 32)}
    assert len({sample["x"].tobytes() for sample in varied}) == found


def test_the_first_copy_is_mirrored_and_others_are_darker_and_nearer() -> None:
    (original,) = samples(1)
    _, mirrored, nearer, _, darker, _ = with_variations([original], PREPROCESSING, 6)
    grey = {
        name: PREPROCESSING.picture(sample["x"]).astype(float)
        for name, sample in (
            ("mirrored", mirrored),
            ("nearer", nearer),
            ("darker", darker),
            ("original", original),
        )
    }
    np.testing.assert_allclose(mirrored["x"], original["x"][:, :, ::-1], atol=1e-5)
    np.testing.assert_allclose(grey["darker"], 0.75 * grey["original"], atol=1)
    # The left 85 % fill the picture: what was at the place 0.85 is at its right edge, in a slope from 200 to 40.
    assert grey["nearer"][:, -3:].mean() == pytest.approx(200 - 160 * 0.85, abs=12)


def test_what_is_no_picture_has_no_copies() -> None:
    given_samples = samples(2)
    assert with_variations(given_samples, None, 24) == given_samples


@given(st.integers(0, 2**32 - 1), st.sampled_from(["rgb", "bgr"]))
def test_a_picture_comes_back_from_its_tensor(seed: int, color: str) -> None:
    preprocessing = Preprocessing((6, 5), color, mean=(10.0, 120.0, 200.5), scale=(1 / 255, -0.3, 2.0))
    picture = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    np.testing.assert_array_equal(preprocessing.picture(preprocessing.tensor(picture)[0]), picture)
