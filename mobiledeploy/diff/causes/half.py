"""fp16: 65504 at most, 11 bits, 6e-8 at least (IEEE 754 binary16)."""

from __future__ import annotations

import numpy as np

from mobiledeploy.diff.causes.evidence import Evidence, largest, rms
from ncnn_tools.graph import Storage
from ncnn_tools.half_precision import LARGEST, SMALLEST_NORMAL

# So many roundings at the largest value may add up in the error: a sum's terms, in all the layers before.
_ROUNDINGS = 16


def fp16_overflow(evidence: Evidence) -> str | None:
    """Values that the reference has and fp16 has not, or sums on the way to values that it would have."""
    if not evidence.halves or np.isfinite(evidence.candidate).all():
        return None
    broken = np.count_nonzero(~np.isfinite(evidence.candidate))
    reaches = largest(evidence.reference)
    if reaches > LARGEST:
        return (
            f"fp16 overflow: the reference reaches {reaches:.6g}, and fp16 ends at 65504; {broken} values are NaN or "
            "infinite"
        )
    return (
        f"fp16 overflow inside the layer, in a sum or a transform: {broken} values are NaN or infinite, though the "
        f"reference stays within {reaches:.4g} (fp16 ends at 65504)"
    )


def fp16_underflow(evidence: Evidence) -> str | None:
    """Values so small that fp16 keeps few of their bits, or none."""
    reaches = largest(evidence.reference)
    if not evidence.halves or not 0 < reaches < SMALLEST_NORMAL:
        return None
    return f"fp16 underflow: the reference is at most {reaches:.2g}, and below 6.1e-05 fp16 loses bits"


def fp16_weights(evidence: Evidence) -> str | None:
    """Weights so small that storing them as fp16 has cost them bits, whatever the arithmetic."""
    weights = evidence.layer.weights.values() if evidence.layer else ()
    reaches = max(
        (largest(weight.values()) for weight in weights if weight.storage is Storage.FP16), default=0.0
    )
    if not 0 < reaches < SMALLEST_NORMAL:
        return None
    return f"fp16 weights: those of the layer are at most {reaches:.2g}, and below 6.1e-05 fp16 loses bits"


def fp16_precision(evidence: Evidence) -> str | None:
    """Large values that nearly cancel: what rounding does to them is large beside what is left."""
    if not evidence.halves or not evidence.finite or evidence.reference.size != evidence.candidate.size:
        return None
    tensors = (*evidence.inputs, evidence.reference)
    reaches = max(largest(tensor[np.isfinite(tensor)]) for tensor in tensors)
    step = float(np.spacing(np.float16(min(reaches, LARGEST))))
    error = rms(evidence.candidate.reshape(-1) - evidence.reference.reshape(-1))
    if not error <= _ROUNDINGS * step:
        return None
    return (
        f"fp16 precision: values reach {reaches:.4g}, where fp16 has steps of {step:.2g}; "
        f"the error is {error:.2g} (rms) beside values of {rms(evidence.reference):.2g}"
    )
