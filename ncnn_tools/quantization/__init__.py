"""int8: which layers can take it, and their weights and scales."""

from __future__ import annotations

from ncnn_tools.quantization.apply import WEIGHT_THRESHOLDS, QuantizeOptions, quantize
from ncnn_tools.quantization.chains import chain, check_chains
from ncnn_tools.quantization.equalization import equalize
from ncnn_tools.quantization.layers import quantizable_layers
from ncnn_tools.quantization.scales import round_half_away
from ncnn_tools.quantization.statistics import (
    ChannelRanges,
    InputStatistics,
    collect_input_statistics,
    collect_ranges,
)

__all__ = [
    "WEIGHT_THRESHOLDS",
    "ChannelRanges",
    "InputStatistics",
    "QuantizeOptions",
    "chain",
    "check_chains",
    "collect_input_statistics",
    "collect_ranges",
    "equalize",
    "quantizable_layers",
    "quantize",
    "round_half_away",
]
