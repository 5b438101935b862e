"""Calibration: how large activations get, and where to clip them for int8."""

from __future__ import annotations

from ncnn_tools.calibration.collect import Progress, collect_histograms
from ncnn_tools.calibration.histogram import Histogram
from ncnn_tools.calibration.threshold import METHODS, threshold

__all__ = ["METHODS", "Histogram", "Progress", "collect_histograms", "threshold"]
