"""mobilenet_dilate_unet: a MobileNetV2 encoder and a U-Net decoder whose convolutions are dilated.

2.38 M parameters, 925 M multiply-adds at 256x256. The encoder is that of Sandler et al. 2018
(arXiv:1801.04381), the skips those of Ronneberger et al. 2015 (arXiv:1505.04597).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.blocks import conv1, conv3, upsample


class InvertedResidual(nn.Module):
    """conv1 to `expansion` times the channels, depthwise conv3, conv1; the input added where shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            conv1(in_channels, wide),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            conv3(wide, wide, stride=stride, groups=wide),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            conv1(wide, out_channels),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map N x C x H x W to N x out x H / stride x W / stride."""
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


def inverted_residuals(in_channels: int, out_channels: int, repeats: int, *, stride: int) -> nn.Sequential:
    """Return a stage of inverted residuals with expansion 6, of which the first one has the stride."""
    first = InvertedResidual(in_channels, out_channels, stride=stride, expansion=6)
    others = (InvertedResidual(out_channels, out_channels, stride=1, expansion=6) for _ in range(repeats - 1))
    return nn.Sequential(first, *others)


class MobilenetFeatures(nn.Module):
    """The encoder, with output stride 32."""

    def __init__(self) -> None:
        super().__init__()
        self.head_conv = nn.Sequential(conv3(3, 32, stride=2), nn.BatchNorm2d(32), nn.ReLU6())
        self.block_1 = InvertedResidual(32, 16, stride=1, expansion=1)
        self.block_2 = inverted_residuals(16, 24, 2, stride=2)
        self.block_3 = inverted_residuals(24, 32, 3, stride=2)
        self.block_4 = inverted_residuals(32, 64, 4, stride=2)
        self.block_5 = inverted_residuals(64, 96, 3, stride=1)
        self.block_6 = inverted_residuals(96, 160, 3, stride=2)
        self.block_7 = InvertedResidual(160, 320, stride=1, expansion=6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return 16, 24, 32, 96 and 320 channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size of `x`."""
        half = self.block_1(self.head_conv(x))
        quarter = self.block_2(half)
        eighth = self.block_3(quarter)
        sixteenth = self.block_5(self.block_4(eighth))
        return half, quarter, eighth, sixteenth, self.block_7(self.block_6(sixteenth))


class UpConcatDilate(nn.Module):
    """One decoder step: double the size, concatenate the skip, a dilated conv3 with batch norm."""

    def __init__(self, in_channels: int, skip_channels: int, dilation: int) -> None:
        super().__init__()
        both = 2 * skip_channels
        self.up = nn.ConvTranspose2d(in_channels, skip_channels, 2, stride=2)
        self.aspp = nn.Sequential(conv3(both, both, dilation=dilation), nn.BatchNorm2d(both))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map N x in x H x W and a skip of twice its size to N x 2 skip x 2H x 2W."""
        out: Tensor = self.aspp(torch.cat([self.up(x), skip], dim=1))
        return out


class MobilenetDilateUnet(nn.Module):
    """Portrait segmentation: N x 3 x H x W in, N x 1 x H x W out (the mask before the sigmoid).

    H and W are multiples of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mobilenet_features = MobilenetFeatures()
        self.up_concat_dilate_1 = UpConcatDilate(320, 96, dilation=2)
        self.up_concat_dilate_2 = UpConcatDilate(192, 32, dilation=6)
        self.up_concat_dilate_3 = UpConcatDilate(64, 24, dilation=12)
        self.up_concat_dilate_4 = UpConcatDilate(48, 16, dilation=18)
        self.last_conv = nn.Sequential(conv3(32, 32), nn.BatchNorm2d(32), conv1(32, 1, bias=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return the mask before the sigmoid."""
        half, quarter, eighth, sixteenth, x = self.mobilenet_features(x)
        x = self.up_concat_dilate_1(x, sixteenth)
        x = self.up_concat_dilate_2(x, eighth)
        x = self.up_concat_dilate_3(x, quarter)
        x = self.up_concat_dilate_4(x, half)
        return upsample(self.last_conv(x), 2, align_corners=True)
