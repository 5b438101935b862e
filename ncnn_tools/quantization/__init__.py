"""int8: which layers can take it, and their weights and scales."""

from __future__ import annotations

from ncnn_tools.quantization.apply import WEIGHT_THRESHOLDS, QuantizeOptions, quantize
from ncnn_tools.quantization.causes import ErrorSources, error_sources
from ncnn_tools.quantization.centering import CENTERED_LEVELS, center, centered_thresholds, centering_offsets
from ncnn_tools.quantization.chains import INT8_GIVERS, chain, check_chains, unchain
from ncnn_tools.quantization.equalization import equalize
from ncnn_tools.quantization.layers import INT8_TAKERS, picture_blobs, quantizable_layers
from ncnn_tools.quantization.mix import take_layers
from ncnn_tools.quantization.own_scales import OwnInt8, quantize_as_given
from ncnn_tools.quantization.scales import round_half_away
from ncnn_tools.quantization.sensitivity import layer_errors, noise_to_signal
from ncnn_tools.quantization.statistics import (
    ChannelRanges,
    InputStatistics,
    collect_input_statistics,
    collect_ranges,
)
from ncnn_tools.quantization.winograd import has_winograd

__all__ = [
    "CENTERED_LEVELS",
    "INT8_GIVERS",
    "INT8_TAKERS",
    "WEIGHT_THRESHOLDS",
    "ChannelRanges",
    "ErrorSources",
    "InputStatistics",
    "OwnInt8",
    "QuantizeOptions",
    "center",
    "centered_thresholds",
    "centering_offsets",
    "chain",
    "check_chains",
    "collect_input_statistics",
    "collect_ranges",
    "equalize",
    "error_sources",
    "has_winograd",
    "layer_errors",
    "noise_to_signal",
    "picture_blobs",
    "quantizable_layers",
    "quantize",
    "quantize_as_given",
    "round_half_away",
    "take_layers",
    "unchain",
]
