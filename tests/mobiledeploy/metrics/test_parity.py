from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.metrics.parity import max_abs, mean_abs


def array(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_differences_of_known_arrays() -> None:
    assert max_abs(array(1, 2, 3), array(1, 2.5, 1)) == 2.0
    assert mean_abs(array(1, 2, 3), array(1, 2.5, 1)) == pytest.approx(2.5 / 3)


@pytest.mark.parametrize("bad", [array(1, np.nan), array(1, np.inf), array(1, 2, 3)])
def test_nan_infinity_and_other_shapes_are_infinitely_far(bad: np.ndarray) -> None:
    assert max_abs(array(1, 2), bad) == float("inf")
    assert mean_abs(bad, array(1, 2)) == float("inf")
