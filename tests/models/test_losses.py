"""The losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from models.losses import alpha_loss, compositional_loss, matting_loss, segmentation_loss


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
