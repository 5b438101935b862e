"""int8: what a layer's input scale can hold, and how finely."""

from __future__ import annotations

import math

import numpy as np

from mobiledeploy.diff.causes.evidence import Evidence, largest, rms

_LEVELS = 127
_COARSE_STEPS = 4.0  # an rms of fewer steps keeps two bits of what matters


def _range_of(evidence: Evidence) -> float | None:
    """Return the |value| that the layer's input scale maps to 127; None for a layer that is not int8."""
    scale = evidence.layer.weights.get("input_scale") if evidence.layer else None
    if scale is None or not evidence.inputs:
        return None
    return _LEVELS / float(scale.values()[0])


def int8_range(evidence: Evidence) -> str | None:
    """The input reaches beyond what the scale can hold, and what is clipped weighs more than what is rounded."""
    limit = _range_of(evidence)
    if limit is None:
        return None
    values = np.abs(evidence.inputs[0])
    # Rounding to steps of s makes an error of s / sqrt(12) (uniform noise).
    if not rms(np.maximum(values - limit, 0)) > limit / _LEVELS / math.sqrt(12):
        return None
    share = np.count_nonzero(values > limit) / values.size
    return (
        f"int8 range: the layer's input reaches {largest(values):.4g}, its scale holds {limit:.4g}; "
        f"{share:.2%} of the values are clipped"
    )


def int8_rounding(evidence: Evidence) -> str | None:
    """Little is clipped, so what is left is rounding: of an input that uses few of the steps, or of many layers."""
    limit = _range_of(evidence)
    if limit is None:
        return None
    steps = rms(evidence.inputs[0]) / (limit / _LEVELS)
    if steps < _COARSE_STEPS:
        return (
            f"int8 resolution: the layer's input is {steps:.1f} steps in the mean (rms), because its scale holds "
            f"{limit:.4g}, which few values come near"
        )
    return f"int8 rounding: little or nothing is clipped, and the layer's input is {steps:.0f} steps in the mean (rms)"
