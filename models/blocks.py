"""What the portrait networks share: small convolutions, and blocks whose layers see all before them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv1(in_channels: int, out_channels: int, *, groups: int = 1, bias: bool = False) -> nn.Conv2d:
    """Return a 1x1 convolution."""
    return nn.Conv2d(in_channels, out_channels, 1, groups=groups, bias=bias)


def conv3(
    in_channels: int,
    out_channels: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size (padding = dilation), but for its stride."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        3,
        stride=stride,
        padding=dilation,
        dilation=dilation,
        groups=groups,
        bias=bias,
    )


def conv3_bn_prelu(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution, batch norm and a PReLU with one slope a channel."""
    return nn.Sequential(
        conv3(in_channels, out_channels, stride=stride), nn.BatchNorm2d(out_channels), nn.PReLU(out_channels)
    )


def upsample(x: Tensor, factor: int, *, align_corners: bool) -> Tensor:
    """Return N x C x H x W enlarged `factor` times, bilinear."""
    return functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=align_corners)


class DenseBlock(nn.Module):
    """Layers that each take everything before them, as in DenseNet (Huang et al. 2017, arXiv:1608.06993).

    A layer's output is concatenated after its input: N x C x H x W in, N x (C + sum of growths) x H x W out.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.dense_layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Grow N x C x H x W by each layer's channels."""
        for layer in self.dense_layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x
