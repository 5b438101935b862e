"""NaN and infinity, whatever the precision."""

from __future__ import annotations

import numpy as np

from mobiledeploy.diff.causes.evidence import Evidence


def reference_not_finite(evidence: Evidence) -> str | None:
    """The reference itself is broken: nothing can equal it."""
    count = np.count_nonzero(~np.isfinite(evidence.reference))
    if not count:
        return None
    return f"the reference itself holds NaN or infinity, at {count} of {evidence.reference.size} values"


def not_finite(evidence: Evidence) -> str | None:
    """The candidate divides by zero, takes a logarithm of zero, or overflows."""
    values = evidence.candidate
    nans, infinities = np.count_nonzero(np.isnan(values)), np.count_nonzero(np.isinf(values))
    found = [f"{count} {what}" for count, what in ((nans, "NaN"), (infinities, "infinity")) if count]
    if not found:
        return None
    return f"{' and '.join(found)} among {values.size} values, where the reference is finite"
