"""seg_matting: portrait segmentation refined to an alpha matte by a guided filter that is learned.

A residual-dense encoder makes two coarse maps (background, person); a small matting head turns them and
the picture itself into alpha. 0.83 M parameters, 219 M multiply-adds at 256x256.

The matting head is that of Zhu et al. 2017, "Fast Deep Matting for Portrait Animation on Mobile Phone"
(arXiv:1707.08289): alpha = sigmoid(a * foreground + b * background + c), with a, b and c predicted a pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import DenseBlock, conv1, conv3, conv3_bn_prelu, upsample


class DenseLayer(nn.Module):
    """conv3, batch norm, ReLU: C channels in, `growth` out."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.conv = conv3(in_channels, growth)
        self.bn = nn.BatchNorm2d(growth)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x H x W to N x growth x H x W."""
        return functional.relu(self.bn(self.conv(x)))


class ResidualDenseBlock(nn.Module):
    """RDB(c, s): conv1 to c // s channels, s - 1 dense layers back up to c, plus the input, BN, PReLU."""

    def __init__(self, channels: int, splits: int) -> None:
        super().__init__()
        growth = channels // splits
        self.conv = conv1(channels, growth)
        self.dense_block = DenseBlock(DenseLayer(growth * i, growth) for i in range(1, splits))
        self.bn = nn.BatchNorm2d(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x H x W to the same shape."""
        out: Tensor = self.act(self.bn(x + self.dense_block(self.conv(x))))
        return out


def bn_prelu(channels: int) -> nn.Sequential:
    """Return batch norm and a PReLU with one slope a channel."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))


class SegExtract(nn.Module):
    """The encoder and decoder: N x 3 x H x W to N x 2 x H x W maps (background, person) before the softmax.

    H and W are multiples of 32. Each level also sees the picture, average-pooled to its size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.head_conv = conv3_bn_prelu(3, 12, stride=2)
        self.stage_0 = ResidualDenseBlock(12, 3)

        self.ba_1 = bn_prelu(3 + 12)
        self.down_1 = conv3_bn_prelu(3 + 12, 24, stride=2)
        self.stage_1 = ResidualDenseBlock(24, 3)

        self.ba_2 = bn_prelu(3 + 2 * 24)
        self.down_2 = conv3_bn_prelu(3 + 2 * 24, 48, stride=2)
        self.stage_2 = ResidualDenseBlock(48, 3)

        self.ba_3 = bn_prelu(3 + 2 * 48)
        self.down_3 = conv3_bn_prelu(3 + 2 * 48, 96, stride=2)
        self.stage_3 = nn.Sequential(ResidualDenseBlock(96, 6), ResidualDenseBlock(96, 6))

        self.ba_4 = bn_prelu(3 + 2 * 96)
        self.down_4 = conv3_bn_prelu(3 + 2 * 96, 192, stride=2)
        self.stage_4 = nn.Sequential(ResidualDenseBlock(192, 6), ResidualDenseBlock(192, 6))

        self.classifier = conv1(192, 2)
        self.prelu = nn.PReLU(2)  # one for the four levels
        self.stage3_down, self.bn3, self.conv_3 = conv3_bn_prelu(96, 2), nn.BatchNorm2d(2), conv3(2, 2)
        self.stage2_down, self.bn2, self.conv_2 = conv3_bn_prelu(48, 2), nn.BatchNorm2d(2), conv3(2, 2)
        self.stage1_down, self.bn1, self.conv_1 = conv3_bn_prelu(24, 2), nn.BatchNorm2d(2), conv3(2, 2)
        self.stage0_down, self.bn0, self.conv_0 = conv3_bn_prelu(12, 2), nn.BatchNorm2d(2), conv3(2, 2)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the stages' outputs, 12, 24, 48, 96 and 192 channels at 1/2 to 1/32 of the size of `x`."""
        half = functional.avg_pool2d(x, 3, stride=2, padding=1)
        quarter = functional.avg_pool2d(half, 3, stride=2, padding=1)
        eighth = functional.avg_pool2d(quarter, 3, stride=2, padding=1)
        sixteenth = functional.avg_pool2d(eighth, 3, stride=2, padding=1)

        s0 = self.stage_0(self.head_conv(x))
        d1 = self.down_1(self.ba_1(torch.cat([half, s0], dim=1)))
        s1 = self.stage_1(d1)
        d2 = self.down_2(self.ba_2(torch.cat([quarter, d1, s1], dim=1)))
        s2 = self.stage_2(d2)
        d3 = self.down_3(self.ba_3(torch.cat([eighth, d2, s2], dim=1)))
        s3 = self.stage_3(d3)
        d4 = self.down_4(self.ba_4(torch.cat([sixteenth, d3, s3], dim=1)))
        s4 = self.stage_4(d4)
        return s0, s1, s2, s3, s4

    def forward(self, x: Tensor) -> Tensor:
        """Return the two maps at the size of `x`."""
        s0, s1, s2, s3, s4 = self.encode(x)
        maps = self.classifier(s4)
        maps = self.conv_3(
            upsample(maps, 2, align_corners=False) + self.prelu(self.bn3(self.stage3_down(s3)))
        )
        maps = self.conv_2(
            upsample(maps, 2, align_corners=False) + self.prelu(self.bn2(self.stage2_down(s2)))
        )
        maps = self.conv_1(
            upsample(maps, 2, align_corners=False) + self.prelu(self.bn1(self.stage1_down(s1)))
        )
        maps = self.conv_0(
            upsample(maps, 2, align_corners=False) + self.prelu(self.bn0(self.stage0_down(s0)))
        )
        return upsample(maps, 2, align_corners=False)


class SegMatting(nn.Module):
    """Portrait segmentation and matting: a picture in, two maps and an alpha matte out.

    Input: N x 3 x H x W float32, preprocessed as seg_matting.toml says; H and W are multiples of 32.
    Outputs: `seg`, N x 2 x H x W (background and person, before the softmax), and `alpha`, N x 1 x H x W
    in 0..1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seg_extract = SegExtract()
        self.convF1 = conv3(11, 8, bias=True)
        self.bn = nn.BatchNorm2d(8)
        self.convF2 = conv3(8, 3, bias=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (seg, alpha)."""
        seg = self.seg_extract(x)
        background, person = torch.split(torch.softmax(seg, dim=1), 1, dim=1)
        features = torch.cat([x, background, person, x * x, x * person], dim=1)
        coefficients = self.convF2(functional.relu(self.bn(self.convF1(features))))
        a, b, c = torch.split(coefficients, 1, dim=1)
        alpha = torch.sigmoid(a * person + b * background + c)
        return seg, alpha
