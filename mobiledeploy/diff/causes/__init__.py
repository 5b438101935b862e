"""The likely cause of a bad tensor whose inputs are good: what is known to go wrong, each told by its own signs.

A cause is a function that looks at the evidence and says in a sentence what it found, or None. Those whose signs
could not be chance come first; the first that speaks is taken.
"""

from __future__ import annotations

from mobiledeploy.diff.causes.arithmetic import (
    activation,
    channel_scale_and_offset,
    constant_factor,
    one_offset_a_channel,
)
from mobiledeploy.diff.causes.evidence import Cause, Evidence
from mobiledeploy.diff.causes.half import fp16_overflow, fp16_precision, fp16_underflow, fp16_weights
from mobiledeploy.diff.causes.integer import int8_range, int8_rounding
from mobiledeploy.diff.causes.layout import (
    another_size,
    border_alone,
    permuted_axes,
    reversed_channels,
    same_values_elsewhere,
    shifted,
)
from mobiledeploy.diff.causes.special import not_finite, reference_not_finite

CAUSES: tuple[Cause, ...] = (
    another_size,
    reference_not_finite,
    fp16_overflow,
    not_finite,
    permuted_axes,
    reversed_channels,
    same_values_elsewhere,
    shifted,
    activation,
    constant_factor,
    one_offset_a_channel,
    channel_scale_and_offset,
    int8_range,
    fp16_weights,
    fp16_underflow,
    fp16_precision,
    border_alone,
    int8_rounding,
)


def likely_cause(evidence: Evidence) -> str | None:
    """Return the first cause that speaks, or None where none is known."""
    return next((said for cause in CAUSES if (said := cause(evidence))), None)


__all__ = ["CAUSES", "Cause", "Evidence", "likely_cause"]
