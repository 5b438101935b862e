from __future__ import annotations

import pytest
import torch
from torch import nn

from mobiledeploy.diff.causes import likely_cause
from mobiledeploy.diff.causes.arithmetic import activation, channel_scale_and_offset, one_offset_a_channel

ACTIVATIONS = {
    "ReLU": nn.ReLU(),
    "ReLU6": nn.ReLU6(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "SiLU": nn.SiLU(),
    "HardSigmoid": nn.Hardsigmoid(),
    "HardSwish": nn.Hardswish(),
}


@pytest.fixture
def before(noise):
    return 4 * noise(6, 10, 12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_that_is_missing_or_too_much(evidence, before, name: str) -> None:
    after = ACTIVATIONS[name](torch.from_numpy(before)).numpy()
    assert (
        likely_cause(evidence(after, before)) == f"a missing activation: with {name} it equals the reference"
    )
    assert (
        likely_cause(evidence(before, after)) == f"an activation too much: it equals {name} of the reference"
    )


def test_another_slope(evidence, before) -> None:
    """PReLU with the slopes of another layer is right wherever the reference is positive."""
    slopes = [nn.PReLU(6), nn.PReLU(6)]
    nn.init.uniform_(slopes[1].weight)
    reference, candidate = (slope(torch.from_numpy(before[None])).detach()[0].numpy() for slope in slopes)
    said = likely_cause(evidence(reference, candidate))
    assert said == "another activation: it equals the reference where that is positive, and differs elsewhere"


def test_noise_is_no_activation(evidence, before, noise) -> None:
    assert activation(evidence(before, before + noise(6, 10, 12, seed=3))) is None


def test_pixels_that_were_not_scaled(evidence, before) -> None:
    said = likely_cause(evidence(before / 255, before))
    assert said == "a constant factor: the values are 255 times the reference's"


def test_a_bias_that_was_left_out(evidence, noise) -> None:
    layer = nn.Conv2d(4, 8, 3)
    picture = torch.from_numpy(noise(1, 4, 12, 12))
    with torch.no_grad():
        reference = layer(picture)[0].numpy()
        layer.bias.zero_()
        candidate = layer(picture)[0].numpy()
    assert (likely_cause(evidence(reference, candidate)) or "").startswith("a bias: each channel differs")


def test_a_batch_norm_that_was_left_out(evidence, before) -> None:
    norm = nn.BatchNorm2d(6).eval()
    for values in (norm.weight, norm.running_var):
        nn.init.uniform_(values, 0.5, 2)
    for values in (norm.bias, norm.running_mean):
        nn.init.normal_(values)
    reference = norm(torch.from_numpy(before[None])).detach()[0].numpy()
    assert (likely_cause(evidence(reference, before)) or "").startswith("a scale and a bias: each channel")


def test_few_pixels_fit_any_scale_and_bias(evidence, noise) -> None:
    """Two numbers a channel explain two pixels of anything."""
    found = evidence(noise(8, 1, 2), noise(8, 1, 2, seed=1))
    assert channel_scale_and_offset(found) is None
    assert one_offset_a_channel(found) is None
