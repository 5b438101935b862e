from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import distance

from mobiledeploy.metrics.parity import cosine, max_abs, mean_abs, top1_agreement


def array(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_differences_of_known_arrays() -> None:
    assert max_abs(array(1, 2, 3), array(1, 2.5, 1)) == 2.0
    assert mean_abs(array(1, 2, 3), array(1, 2.5, 1)) == pytest.approx(2.5 / 3)


@pytest.mark.parametrize("bad", [array(1, np.nan), array(1, np.inf), array(1, 2, 3)])
def test_nan_infinity_and_other_shapes_are_infinitely_far(bad: np.ndarray) -> None:
    assert max_abs(array(1, 2), bad) == float("inf")
    assert mean_abs(bad, array(1, 2)) == float("inf")


@given(
    hnp.arrays(np.float64, st.shared(st.integers(1, 9), key="n"), elements=st.floats(-50, 50)),
    hnp.arrays(np.float64, st.shared(st.integers(1, 9), key="n"), elements=st.floats(-50, 50)),
)
def test_cosine_is_one_minus_scipys_distance(a: np.ndarray, b: np.ndarray) -> None:
    assume(np.linalg.norm(a) > 1e-3 and np.linalg.norm(b) > 1e-3)
    assert cosine(a, b) == pytest.approx(1 - distance.cosine(a, b), abs=1e-9)
    assert -1 <= cosine(a, 3 * a) <= 1


def test_cosine_where_there_is_no_angle() -> None:
    assert cosine(array(0, 0), array(0, 0)) == 1
    assert cosine(array(0, 0), array(1, 0)) == 0
    assert np.isnan(cosine(array(np.nan, 1), array(1, 1)))


def test_top1_agreement_is_a_share_of_samples() -> None:
    a = array(1, 2, 3, 9, 2, 3, 0, 5, 4).reshape(3, 3, 1, 1)
    b = array(0, 0, 1, 0, 8, 3, 0, 2, 1).reshape(3, 3, 1, 1)
    assert top1_agreement(a, b) == pytest.approx(2 / 3)
    assert top1_agreement(a, a) == 1
