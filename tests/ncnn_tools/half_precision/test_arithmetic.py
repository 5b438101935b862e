"""Layers in fp16 arithmetic; tests/android_bench/test_half_agreement.py has ncnn's own kernels beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.half_precision import to_half
from ncnn_tools.half_precision.arithmetic import accumulates, half_output
from ncnn_tools.half_precision.winograd import tile_of, winograd_sums
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import FEATURE_MASK_ID, MASK_NO_WINOGRAD

Make = Callable[..., Any]


def normal(*shape: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return to_half(np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32))


CASES: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    *(("Convolution", (6, 4, 3, 3), {"activation": kind}) for kind in range(7)),
    ("Convolution", (6, 4, 1, 1), {}),
    ("Convolution", (6, 4, 5, 5), {"stride_w": 2}),
    ("Convolution", (6, 4, 3, 3), {"dilation_w": 2, "pad_left": -233}),
    ("Convolution", (16, 4, 3, 3), {"activation": 1}),  # F(6,3)
    ("Convolution", (130, 16, 3, 3), {}),  # F(4,3)
    ("Convolution", (130, 4, 3, 3), {}),  # F(2,3)
    ("ConvolutionDepthWise", (4, 1, 3, 3), {"activation": 3}),
    ("ConvolutionDepthWise", (16, 1, 5, 5), {"stride_w": 2}),
    ("InnerProduct", (5, 4 * 13 * 11), {"activation": 4}),
]


@pytest.mark.parametrize(("kind", "shape", "params"), CASES)
def test_what_it_computes_is_the_layers_output_but_for_rounding(
    make_graph: Make, convolution: Make, kind: str, shape: tuple[int, ...], params: dict[str, Any]
) -> None:
    channels = {"Convolution": shape[1], "ConvolutionDepthWise": shape[0], "InnerProduct": 4}[kind]
    layer = convolution("x", "y", normal(*shape, scale=0.2), kind=kind, **params)
    x = normal(channels, 13, 11, seed=1)
    expected = Runtime.from_graph(make_graph(x.shape, [layer], ["y"])).run({"x": x}, ["y"])["y"]
    assert accumulates(layer, x)
    found = half_output(layer, x)
    assert found.shape == expected.shape
    error = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
    assert 1e-5 < error < 0.02
    np.testing.assert_array_equal(found, to_half(found))


@pytest.mark.parametrize("outputs", [8, 40])  # by groups of 20 outputs it is winograd
def test_groups(make_graph: Make, convolution: Make, outputs: int) -> None:
    layer = convolution("x", "y", normal(outputs, 3, 3, 3, scale=0.2), 1, kind="ConvolutionDepthWise")
    layer.set("group", 2)
    x = normal(6, 13, 11, seed=1)
    expected = Runtime.from_graph(make_graph(x.shape, [layer], ["y"])).run({"x": x}, ["y"])["y"]
    error = np.sqrt(np.mean((half_output(layer, x) - expected) ** 2) / np.mean(expected**2))
    assert 1e-4 < error < 0.02
    assert (error > 2e-3) == (outputs == 40)


def test_rows_of_a_matrix(make_graph: Make, convolution: Make) -> None:
    layer = convolution("x", "y", normal(5, 12), kind="InnerProduct")
    x = normal(7, 12, seed=1)
    expected = Runtime.from_graph(make_graph(x.shape, [layer], ["y"])).run({"x": x}, ["y"])["y"]
    np.testing.assert_allclose(half_output(layer, x), expected, atol=0.05)


def test_layers_whose_sums_are_not_emulated(convolution: Make) -> None:
    maps = normal(4, 9, 9)
    assert accumulates(convolution("x", "y", normal(6, 4, 3, 3)), maps)
    assert not accumulates(convolution("x", "y", normal(6, 4, 3, 3), pad_value=1.0), maps)
    assert not accumulates(convolution("x", "y", normal(6, 4, 3, 3)), maps[0])


@pytest.mark.parametrize("tile", [2, 4, 6])
@pytest.mark.parametrize("size", [(13, 11), (2, 3)])
def test_winograd_is_a_convolution(tile: int, size: tuple[int, int]) -> None:
    weights = np.random.default_rng(0).normal(0, 0.2, (5, 3, 3, 3)).astype(np.float32)
    padded = normal(3, size[0] + 2, size[1] + 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    expected = np.einsum("ocij,chwij->ohw", weights, windows) + np.arange(5)[:, None, None]
    found = winograd_sums(weights, np.arange(5, dtype=np.float32), padded, tile)
    assert np.sqrt(np.mean((found - expected) ** 2)) < {2: 0.002, 4: 0.01, 6: 0.04}[tile]


def test_winograd_overflows_long_before_its_results() -> None:
    """The transform of F(6,3) makes values of 1500 a hundred times larger, which no other kernel does."""
    weights = np.full((1, 1, 3, 3), 0.01, np.float32)
    padded = 1500 * np.sign(normal(1, 26, 26))
    assert not np.isfinite(winograd_sums(weights, None, padded, 6)).all()
    assert np.isfinite(winograd_sums(weights, None, padded, 2)).all()


@pytest.mark.parametrize(
    ("inputs", "outputs", "tile"),
    [(8, 8, None), (8, 16, 6), (128, 128, 6), (129, 16, 4), (8, 129, 2), (256, 256, 4)],
)
def test_which_tile_a_layer_has(convolution: Make, inputs: int, outputs: int, tile: int | None) -> None:
    layer = convolution("x", "y", np.zeros((outputs, inputs, 3, 3)))
    assert tile_of(layer, inputs) == tile
    layer.params[FEATURE_MASK_ID] = MASK_NO_WINOGRAD
    assert tile_of(layer, inputs) is None
    assert tile_of(convolution("x", "y", np.zeros((outputs, inputs, 1, 1))), inputs) is None
