"""residualdense_bisenet: a shallow path for detail and a deep residual-dense path for context, fused.

0.14 M parameters, 224 M multiply-adds at 512x512. The two paths, the attention and the fusion follow Yu et
al. 2018, "BiSeNet" (arXiv:1808.00897).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import DenseBlock, conv1, conv3, conv3_bn_prelu, upsample

SIDE = 512  # the only input size: the global poolings are average poolings with kernels of a fixed size


class PreactivatedLayer(nn.Module):
    """Batch norm, PReLU, conv3: C channels in, `growth` out."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(in_channels)
        self.act = nn.PReLU(in_channels)
        self.conv = conv3(in_channels, growth)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x H x W to N x growth x H x W."""
        out: Tensor = self.conv(self.act(self.bn(x)))
        return out


class DenseResidualBlock(nn.Module):
    """DRB(c, s): conv3 to c // s channels, BN, PReLU, s - 1 dense layers back up to c, plus the input."""

    def __init__(self, channels: int, splits: int) -> None:
        super().__init__()
        growth = channels // splits
        self.conv = conv3(channels, growth)
        self.bn = nn.BatchNorm2d(growth)
        self.act = nn.PReLU(growth)
        self.dense_block = DenseBlock(PreactivatedLayer(growth * i, growth) for i in range(1, splits))

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x H x W to the same shape."""
        out: Tensor = x + self.dense_block(self.act(self.bn(self.conv(x))))
        return out


class AttentionRefinement(nn.Module):
    """ARM(c, k): average pooling k, conv1, sigmoid, times the input."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.conv_1x1 = conv1(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x k x k to the same shape."""
        return x * torch.sigmoid(self.conv_1x1(functional.avg_pool2d(x, self.kernel)))


class FeatureFusion(nn.Module):
    """FFM: both paths concatenated, conv1, BN, PReLU, channels weighed by attention, one map."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.conv_bn_relu = nn.Sequential(
            conv1(channels, channels), nn.BatchNorm2d(channels), nn.PReLU(channels)
        )
        self.conv_1x1_1 = conv1(channels, channels)
        self.conv_1x1_2 = conv1(channels, channels)
        self.classifier = conv1(channels, 1, bias=True)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """Map two tensors of C channels together, k x k each, to N x 1 x k x k."""
        x = self.conv_bn_relu(torch.cat([spatial, context], dim=1))
        pooled = functional.relu(self.conv_1x1_1(functional.avg_pool2d(x, self.kernel)))
        attention = torch.sigmoid(self.conv_1x1_2(pooled))
        out: Tensor = self.classifier(x + x * attention)
        return out


class ResidualdenseBisenet(nn.Module):
    """Portrait segmentation: N x 3 x 512 x 512 in, N x 1 x 512 x 512 out (the mask before the sigmoid)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_bn_relu_1 = conv3_bn_prelu(3, 8, stride=2)
        self.conv_bn_relu_2 = conv3_bn_prelu(8, 12, stride=2)
        self.conv_bn_relu_3 = conv3_bn_prelu(12, 16, stride=2)

        self.conv, self.stage_0 = conv3_bn_prelu(3, 8, stride=2), DenseResidualBlock(8, 2)
        self.down_1, self.stage_1 = conv3_bn_prelu(8, 12, stride=2), DenseResidualBlock(12, 3)
        self.down_2 = conv3_bn_prelu(12, 24, stride=2)
        self.stage_2 = nn.Sequential(DenseResidualBlock(24, 6), DenseResidualBlock(24, 6))
        self.down_3 = conv3_bn_prelu(24, 48, stride=2)
        self.stage_3 = nn.Sequential(DenseResidualBlock(48, 6), DenseResidualBlock(48, 6))
        self.down_4 = conv3_bn_prelu(48, 64, stride=2)
        self.stage_4 = nn.Sequential(DenseResidualBlock(64, 8), DenseResidualBlock(64, 8))

        self.arm_16 = AttentionRefinement(48, SIDE // 16)
        self.arm_32 = AttentionRefinement(64, SIDE // 32)
        self.level_32_up = nn.Sequential(
            nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True), conv1(64, 48, bias=True)
        )
        self.ffm = FeatureFusion(16 + 48, SIDE // 8)

    def spatial(self, x: Tensor) -> Tensor:
        """Return the shallow path's 16 channels at 1/8 of the size of `x`."""
        out: Tensor = self.conv_bn_relu_3(self.conv_bn_relu_2(self.conv_bn_relu_1(x)))
        return out

    def context(self, x: Tensor) -> Tensor:
        """Return the deep path's 48 channels at 1/8 of the size of `x`."""
        x = self.stage_0(self.conv(x))
        x = self.stage_1(self.down_1(x))
        x = self.stage_2(self.down_2(x))
        sixteenth = self.stage_3(self.down_3(x))
        deepest = self.stage_4(self.down_4(sixteenth))
        overall = upsample(functional.avg_pool2d(deepest, SIDE // 32), SIDE // 32, align_corners=True)
        from_32: Tensor = self.level_32_up(self.arm_32(deepest) + overall)
        return from_32 + upsample(self.arm_16(sixteenth), 2, align_corners=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mask before the sigmoid."""
        return upsample(self.ffm(self.spatial(x), self.context(x)), 8, align_corners=True)
