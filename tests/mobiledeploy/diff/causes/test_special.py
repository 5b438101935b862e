from __future__ import annotations

import numpy as np

from mobiledeploy.diff.causes import likely_cause


def test_a_reference_that_is_broken_itself(evidence) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        reference = np.log(np.float32([-1, 0, 1, 2]))
    said = likely_cause(evidence(reference, np.zeros(4)))
    assert said == "the reference itself holds NaN or infinity, at 2 of 4 values"


def test_a_division_by_zero(evidence, noise) -> None:
    reference = noise(2, 3)
    candidate = reference.copy()
    candidate[0, :2] = np.inf
    candidate[1, 1] = np.nan
    said = likely_cause(evidence(reference, candidate))
    assert said == "1 NaN and 2 infinity among 6 values, where the reference is finite"


def test_what_nothing_explains_is_not_explained(evidence, noise) -> None:
    assert likely_cause(evidence(noise(6, 12, 12), noise(6, 12, 12, seed=1))) is None
