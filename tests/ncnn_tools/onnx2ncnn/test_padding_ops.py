"""Pad, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

Check = Callable[..., Any]
Shape = tuple[int, ...]


CHANNELS = st.sampled_from([1, 2, 3, 4, 8, 12, 16])


@st.composite
def shapes(draw: st.DrawFn, min_rank: int = 2, max_rank: int = 5) -> Shape:
    rest = draw(st.lists(st.integers(1, 8), min_size=min_rank - 2, max_size=max_rank - 2))
    return (1, draw(CHANNELS), *rest)


@given(
    shape=shapes(min_rank=3),
    pads=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    mode=st.sampled_from(["constant", "edge", "reflect"]),
    value=st.none() | st.floats(-2, 2, width=32),
    opset=st.sampled_from([10, 11, 13, 18]),
)
def test_pad(
    check_operator: Check, shape: Shape, pads: list[int], mode: str, value: float | None, opset: int
) -> None:
    if mode == "reflect":  # repeats what is inside, without the edge
        pads = [min(pad, shape[-2 + i % 2] - 1) for i, pad in enumerate(pads)]
    zeros = [0] * (len(shape) - 2)
    full = [*zeros, *pads[:2], *zeros, *pads[2:]]
    if opset < 11:
        more = {} if value is None else {"value": value}
        check_operator("Pad", {"x": shape}, opset=opset, mode=mode, pads=full, **more)
        return
    constants: dict[str, Any] = {"pads": np.array(full)}
    if value is not None:
        constants["value"] = np.float32(value)
    check_operator("Pad", {"x": shape}, constants, opset=opset, mode=mode)


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    data=st.data(),
    value=st.floats(-2, 2, width=32),
)
def test_pad_of_any_axes_with_a_constant(
    refusal: Check, shape: list[int], data: st.DataObject, value: float
) -> None:
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    before = [data.draw(st.integers(-(shape[axis] - 1) // 2, 3)) for axis in axes]
    after = [data.draw(st.integers(-(shape[axis] - 1) // 2, 3)) for axis in axes]
    assume(all(shape[i] + a + b > 0 for i, a, b in zip(axes, before, after, strict=True)))
    pads = {"pads": np.array(before + after), "value": np.float32(value), "axes": np.array(axes)}
    error = refusal("Pad", {"x": shape}, pads)
    assert error is None or error.attribute == "pads"


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (3, 4, 4), (2, 3, 4)])
def test_pad_of_channels(check_operator: Check, shape: Shape) -> None:
    axes = {"value": np.float32(0.5), "axes": np.array([len(shape) - 3])}
    check_operator("Pad", {"x": shape}, {"pads": np.array([1, 2]), **axes})


def test_pad_refusals(check_refused: Check) -> None:
    shapes = {"x": (1, 3, 4, 4)}
    sides = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    check_refused("Pad", shapes, sides, opset=19, attribute="mode", mode="wrap")
    check_refused("Pad", shapes, {**sides, "value": np.float32("-inf")})
