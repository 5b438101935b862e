"""Channels that pack: a graph padded with zero channels, so that ncnn computes whole vectors of them."""

from __future__ import annotations

from ncnn_tools.packing.apply import pad_channels
from ncnn_tools.packing.choose import ChosenWidths, Price, choose_widths
from ncnn_tools.packing.groups import PaddingGroup, aligned_widths, padding_groups

__all__ = [
    "ChosenWidths",
    "PaddingGroup",
    "Price",
    "aligned_widths",
    "choose_widths",
    "pad_channels",
    "padding_groups",
]
