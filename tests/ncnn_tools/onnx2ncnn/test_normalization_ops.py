"""BatchNormalization and its like, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

Check = Callable[..., Any]
Shape = tuple[int, ...]


SHAPES = st.one_of(
    st.tuples(st.just(1), st.sampled_from([1, 3, 4, 8, 13, 16])),
    st.tuples(st.just(1), st.sampled_from([1, 3, 4, 8, 16]), st.integers(1, 9)),
    st.tuples(st.just(1), st.sampled_from([1, 3, 4, 8, 12, 16]), st.integers(1, 6), st.integers(1, 9)),
    st.tuples(
        st.just(1), st.sampled_from([1, 3, 4, 8]), st.integers(1, 3), st.integers(1, 4), st.integers(1, 6)
    ),
)


def statistics(channels: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(channels)
    values = {name: rng.normal(0, 1, channels).astype(np.float32) for name in ("scale", "bias", "mean")}
    return {**values, "var": rng.uniform(0.1, 2, channels).astype(np.float32)}


@given(shape=SHAPES, epsilon=st.sampled_from([1e-5, 1e-3, 0.1]), opset=st.sampled_from([9, 14, 15, 18]))
def test_batch_normalization(
    check_operator: Check, shape: tuple[int, ...], epsilon: float, opset: int
) -> None:
    check_operator(
        "BatchNormalization", {"x": shape}, statistics(shape[1]), opset=opset, epsilon=epsilon, momentum=0.3
    )


def test_batch_normalization_in_training_mode_is_refused(check_refused: Check) -> None:
    check_refused(
        "BatchNormalization",
        {"x": (1, 3, 4, 4)},
        statistics(3),
        outputs=["y", "mean_out", "var_out"],
        attribute="training_mode",
        training_mode=1,
    )
