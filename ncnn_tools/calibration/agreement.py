"""Whether there were enough samples: how far the thresholds of one half are from those of the other."""

from __future__ import annotations

from ncnn_tools.calibration.statistics import Calibration
from ncnn_tools.calibration.threshold import Method, threshold


def half_differences(calibration: Calibration, method: Method | str) -> dict[str, float]:
    """Return for each blob |a - b| / max(a, b), in 0..1, of its thresholds by the even and by the odd samples.

    Two independent halves differ by about twice what the threshold of all samples is uncertain by: its variance is
    half of theirs, and the difference has the sum of both. Nothing for a single sample, which has no halves.
    """
    if calibration.samples < 2:
        return {}
    result = {}
    for blob in calibration.blobs:
        even, odd = (threshold(half[blob], method) for half in calibration.halves)
        largest = max(even, odd)
        result[blob] = abs(even - odd) / largest if largest else 0.0
    return result
