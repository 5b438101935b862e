"""The arithmetic of pairs, against onnxruntime's own operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ncnn_tools.onnx2ncnn.grids import Grid, along_axis, dequantized, quantized, read_grid
from ncnn_tools.onnx2ncnn.source import Node

Run = Callable[..., dict[str, np.ndarray]]

NODE = Node(helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"], name="the_node"), 18)


def pair_model(shape: tuple[int, ...], step: np.ndarray, zero: np.ndarray, axis: int) -> object:
    """x → QuantizeLinear → q, and → DequantizeLinear → y."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["q"], axis=axis),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["y"], axis=axis),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("q", helper.np_dtype_to_tensor_dtype(zero.dtype), shape),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, shape),
        ],
        [numpy_helper.from_array(step, "step"), numpy_helper.from_array(zero, "zero")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@given(
    dtype=st.sampled_from([np.int8, np.uint8]),
    per_axis=st.booleans(),
    axis=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_constants(run_onnx: Run, dtype: type, per_axis: bool, axis: int, seed: int) -> None:
    generator, shape = np.random.default_rng(seed), (3, 4, 5)
    count = shape[axis] if per_axis else 1
    step = generator.uniform(0.01, 0.1, count).astype(np.float32)
    info = np.iinfo(dtype)
    zero = generator.integers(info.min, info.max, count, dtype, endpoint=True)
    if not per_axis:
        step, zero = step.reshape(()), zero.reshape(())
    x = generator.normal(0, 2, shape).astype(np.float32)
    expected = run_onnx(pair_model(shape, step, zero, axis), {"x": x})
    spread = along_axis(step, shape, axis), along_axis(zero, shape, axis)
    levels = quantized(x, *spread)
    np.testing.assert_array_equal(levels, expected["q"])
    np.testing.assert_array_equal(dequantized(levels, *spread), expected["y"])


@given(dtype=st.sampled_from([np.int8, np.uint8]), zero=st.integers(-128, 255), step=st.floats(1e-3, 10))
def test_the_range_is_what_a_pair_lets_through(run_onnx: Run, dtype: type, zero: int, step: float) -> None:
    info = np.iinfo(dtype)
    middle = np.array(np.clip(zero, info.min, info.max), dtype)
    scale = np.array(step, np.float32)
    grid = read_grid(NODE, scale, middle)
    x = np.array([[-1e9, 1e9]], np.float32)
    passed = run_onnx(pair_model(x.shape, scale, middle, 0), {"x": x})["y"][0]
    np.testing.assert_allclose(grid.range, passed, rtol=1e-6)
    # What int8 of this scale reaches is as much, and no more than a step of 127 beyond.
    reach = 127 / float(grid.scale)
    largest = float(np.abs(passed).max())
    assert largest / (128 / 127 + 1e-6) <= reach <= largest * (1 + 1e-6)


@pytest.mark.parametrize(
    ("dtype", "zero", "int8", "symmetric"),
    [
        (np.int8, 0, True, True),
        (np.uint8, 128, True, False),
        (np.int8, 1, False, False),
        (np.uint8, 0, False, False),
        (np.int16, 0, False, True),
    ],
)
def test_whose_values_int8_has(dtype: type, zero: int, int8: bool, symmetric: bool) -> None:
    grid = read_grid(NODE, np.array(0.5, np.float32), np.array(zero, dtype))
    assert (grid.is_int8, grid.is_symmetric) == (int8, symmetric)
    if int8:
        assert grid.scale == np.float32(2)


def test_four_bits_are_a_part_of_int8() -> None:
    zero = np.zeros((), helper.tensor_dtype_to_np_dtype(TensorProto.INT4))
    assert read_grid(NODE, np.array(0.25, np.float32), zero) == Grid(0.25, -8, 7, signed=True)
