"""fp16: weights stored in it, and what a phone that computes in it makes of a graph.

`store_as_fp16` halves the files. ncnn's fp16 kernels are ARM's alone, so `HalfEmulation` runs a graph as they would,
`find_half_masks` says which layers that is wrong for, and `apply_half_masks` keeps those in fp32.
"""

from __future__ import annotations

from ncnn_tools.half_precision.emulation import HalfEmulation
from ncnn_tools.half_precision.masks import ALL_FP32, HalfMask, apply_half_masks, check_half_masks
from ncnn_tools.half_precision.rounding import LARGEST, SMALLEST_NORMAL, to_half
from ncnn_tools.half_precision.search import MIN_SNR_DB, find_half_masks
from ncnn_tools.half_precision.storage import store_as_fp16

__all__ = [
    "ALL_FP32",
    "LARGEST",
    "MIN_SNR_DB",
    "SMALLEST_NORMAL",
    "HalfEmulation",
    "HalfMask",
    "apply_half_masks",
    "check_half_masks",
    "find_half_masks",
    "store_as_fp16",
    "to_half",
]
