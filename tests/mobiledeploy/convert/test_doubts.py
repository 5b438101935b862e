"""Calibration files that are hardly meant: each kind is found, and good ones raise no doubt."""

from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.convert.doubts import doubts_of, input_facts
from mobiledeploy.preprocessing import Preprocessing

PREPROCESSING = Preprocessing((16, 16), "bgr", (104.0, 112.0, 121.0), (1 / 255,) * 3)


def pictures(count: int = 10, tint: tuple[int, int, int] = (15, 0, -15)) -> list[np.ndarray]:
    """Make noisy RGB pictures whose channels differ by `tint` in the mean; red prevails in photos."""
    rng = np.random.default_rng(0)
    grey = rng.integers(20, 236, (count, 16, 16, 1))
    return list(np.clip(grey + rng.integers(-10, 10, (count, 1, 1, 3)) + tint, 0, 255).astype(np.uint8))


def tensors(images: list[np.ndarray], preprocessing: Preprocessing = PREPROCESSING) -> list[np.ndarray]:
    return [preprocessing.tensor(image)[0] for image in images]


def doubts(values: list[np.ndarray], preprocessing: Preprocessing | None = PREPROCESSING) -> list[str]:
    facts = [input_facts(f"f{place}", array.astype(np.float32)) for place, array in enumerate(values)]
    return doubts_of(facts, preprocessing)


def test_photos_raise_no_doubt() -> None:
    assert doubts(tensors(pictures())) == []
    assert doubts(tensors(pictures()), None) == []


def test_files_of_one_colour() -> None:
    flat = [np.full((16, 16, 3), (10, 20, 30), np.uint8)]
    (doubt,) = doubts(tensors(pictures() + flat))
    assert "1 of 11 files is of one value" in doubt
    assert "f10" in doubt


def test_nothing_but_files_of_one_colour() -> None:
    found = doubts(tensors([np.full((16, 16, 3), 9, np.uint8)] * 2))
    assert "2 of 2 files are of one value" in found[0]
    assert "only 1 of 2 files differ" in found[1]


def test_the_same_picture_several_times() -> None:
    (doubt,) = doubts(tensors(pictures(3) * 3))
    assert "only 3 of 9 files differ" in doubt


@pytest.mark.parametrize("factor", [255.0, 2.0])
def test_arrays_of_another_preprocessing(factor: float) -> None:
    values = tensors(pictures())
    values[4] = values[4] * np.float32(factor)
    (doubt,) = doubts(values)
    assert "1 of 10 files is with values from" in doubt
    assert "-0.475 to 0.592" in doubt
    assert "f4" in doubt


def test_pictures_saved_as_0_to_1() -> None:
    (doubt,) = doubts(tensors([image // 255 for image in pictures(tint=(60, 60, 60))]))
    assert "saved as 0 to 1" in doubt


def test_grey_levels_where_no_preprocessing_is_known() -> None:
    (doubt,) = doubts([image.transpose(2, 0, 1) for image in pictures()], None)
    assert "like grey levels" in doubt


def test_whole_numbers_that_are_no_grey_levels() -> None:
    assert doubts([image.transpose(2, 0, 1) % 8 for image in pictures()], None) == []


def test_swapped_channels() -> None:
    wrong = Preprocessing((16, 16), "rgb", PREPROCESSING.mean, PREPROCESSING.scale)
    (doubt,) = doubts(tensors(pictures(), wrong), wrong)
    assert "swapped" in doubt
    assert "order is rgb" in doubt


@pytest.mark.parametrize("tint", [(0, 0, 0), (2, 0, -2), (-2, 0, 2)])
def test_grey_pictures_do_not_tell_the_order(tint: tuple[int, int, int]) -> None:
    wrong = Preprocessing((16, 16), "rgb", PREPROCESSING.mean, PREPROCESSING.scale)
    assert doubts(tensors(pictures(tint=tint), wrong), wrong) == []


def test_a_few_pictures_do_not_tell_the_order() -> None:
    wrong = Preprocessing((16, 16), "rgb", PREPROCESSING.mean, PREPROCESSING.scale)
    assert doubts(tensors(pictures(7), wrong), wrong) == []


def test_inputs_that_are_no_pictures() -> None:
    rng = np.random.default_rng(0)
    assert doubts([rng.normal(0, 1, (5, 7)) for _ in range(4)], None) == []
