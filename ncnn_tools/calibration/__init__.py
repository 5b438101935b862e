"""Calibration: how large activations get, and where to clip them for int8."""

from __future__ import annotations

from ncnn_tools.calibration.agreement import half_differences
from ncnn_tools.calibration.collect import Progress, available_cores, collect_statistics
from ncnn_tools.calibration.error import LEVELS
from ncnn_tools.calibration.files import read_calibration, write_calibration
from ncnn_tools.calibration.histogram import Histogram
from ncnn_tools.calibration.statistics import BlobStatistics, Calibration
from ncnn_tools.calibration.threshold import METHODS, Method, threshold

__all__ = [
    "LEVELS",
    "METHODS",
    "BlobStatistics",
    "Calibration",
    "Histogram",
    "Method",
    "Progress",
    "available_cores",
    "collect_statistics",
    "half_differences",
    "read_calibration",
    "threshold",
    "write_calibration",
]
