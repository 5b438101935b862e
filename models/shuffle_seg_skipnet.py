"""shuffle_seg_skipnet: a ShuffleNet encoder whose stages are each scored and added up.

0.92 M parameters, 180 M multiply-adds at 256x256. The encoder is that of Zhang et al. 2018
(arXiv:1707.01083) with three groups, the decoder that of Siam et al. 2018, "ShuffleSeg" (arXiv:1803.03816).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import conv1, conv3

GROUPS = 3


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Return N x C x H x W with the channels of the groups interleaved."""
    n, channels, height, width = x.shape
    grouped = x.reshape(n, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).reshape(n, channels, height, width)


def group_conv1(in_channels: int, out_channels: int, groups: int, *, relu: bool) -> nn.Sequential:
    """Return a grouped 1x1 convolution with batch norm, and a ReLU if asked for."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1x1=conv1(in_channels, out_channels, groups=groups, bias=True),
        batch_norm=nn.BatchNorm2d(out_channels),
    )
    if relu:
        layers["relu"] = nn.ReLU()
    return nn.Sequential(layers)


class ShuffleUnit(nn.Module):
    """A ShuffleNet unit. At stride 1 the input is added; at stride 2 it is pooled and concatenated."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, first_groups: int = GROUPS
    ) -> None:
        super().__init__()
        narrow = out_channels // 4
        expanded = out_channels if stride == 1 else out_channels - in_channels
        self.stride = stride
        self.g_conv_1x1_compress = group_conv1(in_channels, narrow, first_groups, relu=True)
        self.depthwise_conv3x3 = conv3(narrow, narrow, stride=stride, groups=narrow, bias=True)
        self.bn_after_depthwise = nn.BatchNorm2d(narrow)
        self.g_conv_1x1_expand = group_conv1(narrow, expanded, GROUPS, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map N x in x H x W to N x out x H / stride x W / stride."""
        out = channel_shuffle(self.g_conv_1x1_compress(x), GROUPS)
        out = self.g_conv_1x1_expand(self.bn_after_depthwise(self.depthwise_conv3x3(out)))
        if self.stride == 1:
            return functional.relu(x + out)
        pooled = functional.avg_pool2d(x, 3, stride=2, padding=1)
        return functional.relu(torch.cat([pooled, out], dim=1))


def stage(number: int, in_channels: int, out_channels: int, repeats: int, first_groups: int) -> nn.Sequential:
    """Return a unit of stride 2 and `repeats` of stride 1, named as in the published state dict."""
    units = [ShuffleUnit(in_channels, out_channels, stride=2, first_groups=first_groups)]
    units += [ShuffleUnit(out_channels, out_channels, stride=1) for _ in range(repeats)]
    return nn.Sequential(
        OrderedDict((f"ShuffleUnit_Stage{number}_{i}", unit) for i, unit in enumerate(units))
    )


class ShuffleEncoder(nn.Module):
    """ShuffleNet v1, with output stride 32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv3(3, 24, stride=2, bias=True)
        self.stage2 = stage(2, 24, 240, 3, first_groups=1)
        self.stage3 = stage(3, 240, 480, 7, first_groups=GROUPS)
        self.stage4 = stage(4, 480, 960, 3, first_groups=GROUPS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return 24, 24, 240, 480 and 960 channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size of `x`."""
        half = self.conv1(x)
        quarter = functional.max_pool2d(half, 3, stride=2, padding=1)
        eighth = self.stage2(quarter)
        sixteenth = self.stage3(eighth)
        return half, quarter, eighth, sixteenth, self.stage4(sixteenth)


def bilinear_up2() -> nn.ConvTranspose2d:
    """Return a transposed convolution of one channel that doubles the size, and starts out as bilinear."""
    layer = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
    slope = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.copy_(torch.outer(slope, slope))
    return layer


class ShuffleSegSkipnet(nn.Module):
    """Portrait segmentation: N x 3 x H x W in, N x 1 x H x W out (the mask before the sigmoid).

    H and W are multiples of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ShuffleEncoder()
        self.scorelayer = conv1(960, 1, bias=True)
        self.bn_ = nn.BatchNorm2d(1)  # one for all levels
        self.up1, self.stage3_down = bilinear_up2(), conv1(480, 1)
        self.up2, self.stage2_down = bilinear_up2(), conv1(240, 1)
        self.up3, self.stage1_down = bilinear_up2(), conv1(24, 1)
        self.up4, self.stage0_down = bilinear_up2(), conv1(24, 1)
        self.deconv = bilinear_up2()

    def forward(self, x: Tensor) -> Tensor:
        """Return the mask before the sigmoid."""
        half, quarter, eighth, sixteenth, deepest = self.encoder(x)
        score = self.bn_(self.scorelayer(deepest))
        score = self.bn_(self.up1(score)) + self.bn_(self.stage3_down(sixteenth))
        score = self.bn_(self.up2(score)) + self.bn_(self.stage2_down(eighth))
        score = self.bn_(self.up3(score)) + self.bn_(self.stage1_down(quarter))
        score = self.bn_(self.up4(score)) + self.bn_(self.stage0_down(half))
        out: Tensor = self.deconv(score)
        return out
