"""esp_dense_seg: pyramids of dilated convolutions, and dense blocks of dilated convolutions.

0.24 M parameters, 189 M multiply-adds at 256x256. The pyramid with its sums follows Mehta et al. 2018,
"ESPNet" (arXiv:1803.06815).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import DenseBlock, conv1, conv3, upsample

EPSILON = 1e-3  # of the batch norms outside the dense blocks


class DilatedPyramidBlock(nn.Module):
    """DPRB(c): conv3 to c // 6 channels, six branches with growing reach, plus the input, BN, PReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // 6
        self.conv = conv3(channels, narrow)
        self.d0 = conv1(narrow, narrow)
        self.d1 = conv3(narrow, narrow, dilation=1)
        self.d2 = conv3(narrow, narrow, dilation=2)
        self.d4 = conv3(narrow, narrow, dilation=4)
        self.d8 = conv3(narrow, narrow, dilation=8)
        self.d16 = conv3(narrow, narrow, dilation=16)
        self.bn = nn.BatchNorm2d(channels, eps=EPSILON)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x H x W to the same shape."""
        narrow = self.conv(x)
        to_2 = self.d2(narrow)
        to_4 = to_2 + self.d4(narrow)
        to_8 = to_4 + self.d8(narrow)
        to_16 = to_8 + self.d16(narrow)
        pyramid = torch.cat([self.d0(narrow), self.d1(narrow), to_2, to_4, to_8, to_16], dim=1)
        out: Tensor = self.act(self.bn(x + pyramid))
        return out


class DilatedLayer(nn.Module):
    """Dilated conv3 and ReLU. Its batch norm is in the published state dict, but not used."""

    def __init__(self, in_channels: int, growth: int, dilation: int) -> None:
        super().__init__()
        self.conv = conv3(in_channels, growth, dilation=dilation)
        self.bn = nn.BatchNorm2d(growth)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x H x W to N x growth x H x W."""
        return functional.relu(self.conv(x))


class DilatedDenseBlock(nn.Module):
    """DDRB(c, 6): conv1 to c // 6 channels, five dilated dense layers, plus the input, BN, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        growth = channels // 6
        self.conv = conv1(channels, growth)
        layers = [DilatedLayer(growth * i, growth, d) for i, d in enumerate((1, 2, 4, 6, 8), start=1)]
        self.dense_block = DenseBlock(layers)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x H x W to the same shape."""
        return functional.relu(self.bn(x + self.dense_block(self.conv(x))))


def dense_stage(channels: int, repeats: int) -> nn.Sequential:
    """Return dilated dense blocks, one after the other."""
    return nn.Sequential(*(DilatedDenseBlock(channels) for _ in range(repeats)))


class EspDenseSeg(nn.Module):
    """Portrait segmentation: N x 3 x H x W in, N x 1 x H x W out (the mask before the sigmoid).

    H and W are multiples of 16. A level takes C channels to 2C at half the size: conv3, a pyramid, dense
    blocks, both concatenated.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv0, self.b0, self.a0 = conv3(3, 12), nn.BatchNorm2d(12, eps=EPSILON), nn.PReLU(12)

        self.down_1, self.stage_1_0, self.stage_1 = (
            conv3(12, 12, stride=2),
            DilatedPyramidBlock(12),
            dense_stage(12, 1),
        )
        self.b1, self.a1 = nn.BatchNorm2d(24, eps=EPSILON), nn.PReLU(24)
        self.down_2, self.stage_2_0, self.stage_2 = (
            conv3(24, 24, stride=2),
            DilatedPyramidBlock(24),
            dense_stage(24, 1),
        )
        self.b2, self.a2 = nn.BatchNorm2d(48, eps=EPSILON), nn.PReLU(48)
        self.down_3, self.stage_3_0, self.stage_3 = (
            conv3(48, 48, stride=2),
            DilatedPyramidBlock(48),
            dense_stage(48, 2),
        )
        self.b3, self.a3 = nn.BatchNorm2d(96, eps=EPSILON), nn.PReLU(96)
        self.down_4, self.stage_4_0, self.stage_4 = (
            conv3(96, 96, stride=2),
            DilatedPyramidBlock(96),
            dense_stage(96, 2),
        )
        self.b4, self.a4 = nn.BatchNorm2d(192, eps=EPSILON), nn.PReLU(192)

        self.classifier = conv1(192, 1)
        self.bn_ = nn.BatchNorm2d(1, eps=EPSILON)  # one for all skips
        self.stage3_down, self.conv_1 = conv1(96, 1), conv3(1, 1)
        self.stage2_down, self.conv_2 = conv1(48, 1), conv3(1, 1)
        self.stage1_down, self.conv_3 = conv1(24, 1), conv3(1, 1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return 24, 48, 96 and 192 channels at 1/2, 1/4, 1/8 and 1/16 of the size of `x`."""
        x = self.a0(self.b0(self.conv0(x)))
        pyramid = self.stage_1_0(self.down_1(x))
        half = self.a1(self.b1(torch.cat([self.stage_1(pyramid), pyramid], dim=1)))
        pyramid = self.stage_2_0(self.down_2(half))
        quarter = self.a2(self.b2(torch.cat([self.stage_2(pyramid), pyramid], dim=1)))
        pyramid = self.stage_3_0(self.down_3(quarter))
        eighth = self.a3(self.b3(torch.cat([self.stage_3(pyramid), pyramid], dim=1)))
        pyramid = self.stage_4_0(self.down_4(eighth))
        sixteenth = self.a4(self.b4(torch.cat([self.stage_4(pyramid), pyramid], dim=1)))
        return half, quarter, eighth, sixteenth

    def forward(self, x: Tensor) -> Tensor:
        """Return the mask before the sigmoid."""
        half, quarter, eighth, sixteenth = self.encode(x)
        mask = self.classifier(sixteenth)
        mask = self.conv_1(upsample(mask, 2, align_corners=True) + self.bn_(self.stage3_down(eighth)))
        mask = self.conv_2(upsample(mask, 2, align_corners=True) + self.bn_(self.stage2_down(quarter)))
        mask = self.conv_3(upsample(mask, 2, align_corners=True) + self.bn_(self.stage1_down(half)))
        return upsample(mask, 2, align_corners=True)
