"""The losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from models.losses import (
    alpha_loss,
    compositional_loss,
    mask_loss,
    matting_loss,
    segmentation_loss,
    soft_dice_loss,
    training_loss,
)


def test_alpha_loss_is_the_mean_absolute_difference():
    truth = torch.tensor([0.0, 1.0, 0.5, 0.25]).view(1, 1, 2, 2)
    alpha = torch.tensor([0.5, 1.0, 0.25, 0.25]).view(1, 1, 2, 2)
    assert float(alpha_loss(alpha, truth)) == pytest.approx((0.5 + 0 + 0.25 + 0) / 4, abs=1e-5)


def test_compositional_loss_weighs_by_the_picture():
    truth, alpha = torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2)
    rgb = torch.tensor([[0.0, 1.0], [0.0, 0.5], [0.0, 0.0]]).view(1, 3, 1, 2)
    assert float(compositional_loss(alpha, truth, rgb)) == pytest.approx(1.5 / 6, abs=1e-5)


def test_segmentation_loss_is_cross_entropy_against_the_mask():
    truth = torch.tensor([0.2, 0.8]).view(1, 1, 1, 2)
    seg = torch.tensor([[2.0, 0.0], [0.0, 0.0]]).view(1, 2, 1, 2)
    expected = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert float(segmentation_loss(seg, truth)) == pytest.approx(expected, abs=1e-6)


def test_a_perfect_matte_has_no_loss_and_finite_slopes():
    truth = (torch.rand(2, 1, 8, 8) > 0.5).float()
    seg = torch.cat([-50 * (2 * truth - 1), 50 * (2 * truth - 1)], dim=1).requires_grad_()
    alpha = truth.clone().requires_grad_()
    loss = matting_loss(seg, alpha, truth, torch.rand(2, 3, 8, 8))
    loss.backward()
    assert float(loss.detach()) < 1e-5
    assert torch.isfinite(alpha.grad).all()


def test_soft_dice_by_hand():
    """Per picture, with one pixel of smoothing: 1 - (2 * 0.5 + 1) / (0.25 + 1 + 1) and 1 - 1 / (1 + 1)."""
    alpha = torch.tensor([[0.5, 0.0], [1.0, 0.0]]).view(2, 1, 1, 2)
    truth = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).view(2, 1, 1, 2)
    assert float(soft_dice_loss(alpha, truth)) == pytest.approx(((1 - 2 / 2.25) + 0.5) / 2)


def test_soft_dice_is_least_at_the_soft_truth_itself():
    truth = torch.rand(1, 1, 8, 8)
    assert float(soft_dice_loss(truth, truth)) == pytest.approx(0, abs=1e-6)
    for other in (truth * 0.9, (truth > 0.5).float(), truth + 0.1):
        assert float(soft_dice_loss(other, truth)) > 1e-3


def test_soft_dice_pushes_a_picture_with_nobody_to_nothing():
    alpha = torch.full((1, 1, 2, 2), 0.5, requires_grad=True)
    soft_dice_loss(alpha, torch.zeros(1, 1, 2, 2)).backward()
    assert (alpha.grad > 0).all()


def test_mask_loss_is_cross_entropy_plus_dice():
    logits, truth = torch.tensor([0.0, 2.0]).view(1, 1, 1, 2), torch.tensor([0.25, 1.0]).view(1, 1, 1, 2)
    a = [0.5, 1 / (1 + math.exp(-2))]
    entropy = (math.log(2) - math.log(a[1])) / 2
    dice = 1 - (2 * (a[0] * 0.25 + a[1]) + 1) / (a[0] ** 2 + a[1] ** 2 + 0.25**2 + 1 + 1)
    assert float(mask_loss(logits, truth)) == pytest.approx(entropy + dice, abs=1e-6)


def test_the_loss_fits_the_outputs():
    truth, rgb = torch.rand(1, 1, 4, 4), torch.rand(1, 3, 4, 4)
    seg, alpha = torch.rand(1, 2, 4, 4), torch.rand(1, 1, 4, 4)
    assert training_loss((seg, alpha), truth, rgb) == matting_loss(seg, alpha, truth, rgb)
    assert training_loss(alpha, truth, rgb) == mask_loss(alpha, truth)


def test_mask_loss_of_far_logits_is_finite():
    logits = torch.tensor([-1e4, 1e4]).view(1, 1, 1, 2).requires_grad_()
    loss = mask_loss(logits, torch.tensor([1.0, 0.0]).view(1, 1, 1, 2))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
