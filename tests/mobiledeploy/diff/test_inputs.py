from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobiledeploy.diff.inputs import check_inputs, file_inputs, noise_inputs, sample_inputs
from mobiledeploy.errors import UsageError
from mobiledeploy.source.reference import TensorSpec

SPECS = (TensorSpec("a", (1, 3, 4, 4)), TensorSpec("b", (1, 5)))


def test_the_first_sample_of_a_bundle(tiny_bundle) -> None:
    inputs = sample_inputs(tiny_bundle)
    np.testing.assert_array_equal(inputs.arrays[0], np.load(next(iter(tiny_bundle.samples().values())))[:1])
    assert inputs.description == f"the first sample of {tiny_bundle.path}"


def test_a_picture_goes_through_the_preprocessing(tiny_bundle, workshop: Path) -> None:
    picture = workshop / "pictures" / "picture2.png"
    specs = [TensorSpec(tensor.name, tensor.shape) for tensor in tiny_bundle.inputs]
    inputs = file_inputs([picture], specs, tiny_bundle.preprocessing)
    np.testing.assert_array_equal(inputs.arrays[0], tiny_bundle.preprocessing.load(picture))


def test_an_array_for_each_input(tmp_path: Path) -> None:
    for spec in SPECS:
        np.save(tmp_path / f"{spec.name}.npy", np.ones(spec.shape[1:], np.float32))
    inputs = file_inputs([tmp_path / "a.npy", tmp_path / "b.npy"], SPECS, None)
    assert [array.shape for array in inputs.arrays] == [(1, 3, 4, 4), (1, 5)]


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 4, 5), np.float32))
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="1 input files given; the network takes 2"):
        file_inputs([tmp_path / "a.npy"], SPECS, None)
    with pytest.raises(UsageError, match=r"a\.npy"):
        file_inputs([tmp_path / "a.npy"], SPECS[:1], None)
    with pytest.raises(UsageError, match="how does this picture become the network's input"):
        file_inputs([tmp_path / "a.png"], SPECS[:1], None)


def test_noise_is_the_same_each_time() -> None:
    first, second = noise_inputs(SPECS), noise_inputs(SPECS)
    assert [array.shape for array in first.arrays] == [(1, 3, 4, 4), (1, 5)]
    np.testing.assert_array_equal(first.arrays[0], second.arrays[0])
    assert "seed 0" in first.description


def test_both_sides_must_take_the_input(plain) -> None:
    good, other = plain([], [], label="good"), plain([], [], label="other")
    other.inputs = (TensorSpec("x", (1, 5)),)
    inputs = noise_inputs(good.inputs)
    check_inputs(good, good, inputs)
    with pytest.raises(UsageError, match="other takes inputs of shape 1x5, and the other side 1x4"):
        check_inputs(good, other, inputs)
