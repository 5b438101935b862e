from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mobiledeploy.diff.causes import likely_cause
from mobiledeploy.diff.causes.layout import (
    another_size,
    border_alone,
    permuted_axes,
    reversed_channels,
    same_values_elsewhere,
    shifted,
)


@pytest.fixture
def convolved(noise):
    """A 3x3 convolution of a picture that torch has padded: (left, right, top, bottom), and how."""

    def make(
        padding: tuple[int, int, int, int], mode: str = "constant", value: float | None = None
    ) -> np.ndarray:
        picture = torch.from_numpy(noise(1, 3, 20, 24) + 2)
        weight = torch.from_numpy(noise(5, 3, 3, 3, seed=1))
        padded = functional.pad(picture, padding, mode, value)
        return functional.conv2d(padded, weight)[0].numpy()

    return make


@pytest.mark.parametrize(("mode", "value"), [("reflect", None), ("replicate", None), ("constant", 2.0)])
def test_a_map_padded_with_other_values(evidence, convolved, mode: str, value: float | None) -> None:
    said = likely_cause(evidence(convolved((1, 1, 1, 1)), convolved((1, 1, 1, 1), mode, value)))
    assert said == "wrong padding: the error is in the outer 1 pixels of the border alone"


def test_the_sides_of_wrong_padding_are_named(evidence, convolved) -> None:
    candidate = convolved((1, 1, 1, 1))
    candidate[:, -1:] = convolved((1, 1, 1, 1), "reflect")[:, -1:]
    candidate[:, :, -1:] = convolved((1, 1, 1, 1), "reflect")[:, :, -1:]
    said = border_alone(evidence(convolved((1, 1, 1, 1)), candidate))
    assert said == "wrong padding: the error is in the outer 1 pixels of the border (bottom, right) alone"


def test_padding_on_one_side_moves_the_map(evidence, convolved) -> None:
    said = likely_cause(evidence(convolved((1, 1, 1, 1)), convolved((0, 2, 2, 0))))
    assert said == "wrong padding: the map is shifted, by 1 down and -1 right"


def test_errors_all_over_are_not_of_the_padding(evidence, convolved, noise) -> None:
    reference = convolved((1, 1, 1, 1))
    broken = evidence(reference, reference + noise(*reference.shape, seed=5))
    assert border_alone(broken) is None
    assert shifted(broken) is None


@pytest.mark.parametrize("order", [(0, 2, 1), (1, 0, 2), (2, 0, 1)])
def test_a_transpose_that_is_missing(evidence, noise, order: tuple[int, ...]) -> None:
    original = noise(4, 6, 6)
    said = permuted_axes(evidence(original.transpose(order), original))
    assert said == f"permuted axes: transposed by {order} it equals the reference"


def test_transposed_data_under_the_old_shape(evidence, noise) -> None:
    """A reshape where a transpose was meant: same shape, other order."""
    original = noise(6, 4, 5)
    candidate = np.ascontiguousarray(original.transpose(1, 2, 0)).reshape(original.shape)
    assert "under another shape" in (likely_cause(evidence(original, candidate)) or "")


def test_bgr_for_rgb(evidence, noise) -> None:
    original = noise(3, 8, 9)
    said = likely_cause(evidence(original, original[::-1]))
    assert said == "reversed channels: the reference has them in the opposite order (RGB and BGR, say)"
    assert reversed_channels(evidence(original, original[[1, 0, 2]])) is None


def test_shuffled_channels_are_the_same_values_elsewhere(evidence, noise) -> None:
    original = noise(8, 5, 5)
    shuffled = torch.nn.functional.channel_shuffle(torch.from_numpy(original[None]), 2)[0].numpy()
    assert "the same values in other places" in (likely_cause(evidence(original, shuffled)) or "")


def test_noise_of_one_distribution_is_not_the_same_values(evidence, noise) -> None:
    """Sorted, two samples of one distribution are near one another; that must not be enough."""
    found = evidence(noise(16, 64, 64), noise(16, 64, 64, seed=1), tolerance=0.3)
    assert same_values_elsewhere(found) is None
    assert likely_cause(found) is None


def test_another_size_is_said_with_both_shapes(evidence, noise) -> None:
    said = another_size(evidence(noise(3, 8, 8), noise(3, 9, 8)))
    assert said == "the shapes differ: 3x8x8 in the reference, 3x9x8 here"
