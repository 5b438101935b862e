"""What the networks are trained to make small."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTHING = 1.0  # pixels; gives pictures with nobody a slope, where the overlap alone is 0 / 0
EPSILON = 1e-6  # keeps the square root's slope finite; the value of Xu et al. 2017


def charbonnier(difference: Tensor) -> Tensor:
    """Return the mean of sqrt(d^2 + epsilon^2): the absolute difference, smooth at zero."""
    return torch.sqrt(difference * difference + EPSILON**2).mean()


def alpha_loss(alpha: Tensor, truth: Tensor) -> Tensor:
    """Return the alpha-prediction loss of Xu et al. 2017, "Deep Image Matting" (arXiv:1703.03872), section 4.1.

    Both are N x 1 x H x W in 0..1.
    """
    return charbonnier(alpha - truth)


def compositional_loss(alpha: Tensor, truth: Tensor, rgb: Tensor) -> Tensor:
    """Return the compositional loss of Xu et al. 2017: how far a picture composed with `alpha` is from the truth.

    The picture itself (N x 3 x H x W, 0..1) stands for the unknown foreground, and the new background is
    black, as in Zhu et al. 2017, "Fast Deep Matting for Portrait Animation on Mobile Phone"
    (arXiv:1707.08289).
    """
    return charbonnier((alpha - truth) * rgb)


def segmentation_loss(seg: Tensor, truth: Tensor) -> Tensor:
    """Return the cross-entropy of two maps (N x 2 x H x W, before the softmax) against truth above 0.5."""
    return functional.cross_entropy(seg, (truth[:, 0] > 0.5).long())


def matting_loss(seg: Tensor, alpha: Tensor, truth: Tensor, rgb: Tensor) -> Tensor:
    """Return the sum of the three losses, each with weight one."""
    matting = alpha_loss(alpha, truth) + compositional_loss(alpha, truth, rgb)
    return segmentation_loss(seg, truth) + matting


def mask_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return cross-entropy plus soft Dice, each with weight one, of one map of logits; both N x 1 x H x W.

    The first judges every pixel alike, the second the overlap, however small the person is. Their sum is the loss of
    Isensee et al. 2021, "nnU-Net", Nature Methods 18.
    """
    pixels = functional.binary_cross_entropy_with_logits(logits, truth)
    return pixels + soft_dice_loss(torch.sigmoid(logits), truth)


def soft_dice_loss(alpha: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - 2 sum(a t) / (sum(a^2) + sum(t^2)), the mean over pictures; both N x 1 x H x W in 0..1.

    Of Milletari et al. 2016, "V-Net" (arXiv:1606.04797), section 3. With squares below, it is 0 for a soft truth too
    where both are equal.
    """
    both = (alpha * truth).flatten(1).sum(1)
    each = (alpha * alpha + truth * truth).flatten(1).sum(1)
    return (1 - (2 * both + SMOOTHING) / (each + SMOOTHING)).mean()


def training_loss(outputs: Tensor | tuple[Tensor, Tensor], truth: Tensor, rgb: Tensor) -> Tensor:
    """Return the loss that fits a network's outputs: (seg, alpha), or one map of logits."""
    if isinstance(outputs, tuple):
        return matting_loss(*outputs, truth, rgb)
    return mask_loss(outputs, truth)
