"""fp16 winograd, whose transforms add up values far larger than the result: what costs fp16 most of its precision.

ncnn computes 3x3 convolutions of stride 1 as F(6,3), F(4,3) or F(2,3) in its fp16sa kernels: transforms and products
are rounded to fp16, only the weights are transformed in float32 (`convolution_3x3_winograd_fp16s.h`). The matrices
are those that stand there; A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, have the
method: Y = A'[(G g G') ∘ (B' d B)]A for each tile d of the input.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ncnn_tools.graph import Layer
from ncnn_tools.half_precision.accumulate import accumulate
from ncnn_tools.half_precision.rounding import LARGEST, Array, to_half
from ncnn_tools.quantization.winograd import runs_winograd

_ROOT2 = 2**0.5


class _Transforms(NamedTuple):
    """B', G and A' of the tiles that give this many outputs along an axis."""

    inputs: Array
    weights: Array
    outputs: Array


def _transforms(
    inputs: list[list[float]], weights: list[list[float]], outputs: list[list[float]]
) -> _Transforms:
    arrays = (np.array(rows, np.float32) for rows in (inputs, weights, outputs))
    before, of_weights, behind = arrays
    # The weights are transformed in float32, the others by constants of type __fp16.
    return _Transforms(to_half(before), of_weights, to_half(behind))


_BY_TILE = {
    2: _transforms(
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]],
        [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, 1]],
    ),
    4: _transforms(
        [
            [1, 0, -2.5, 0, 1, 0],
            [0, -_ROOT2, -2, _ROOT2 / 2, 1, 0],
            [0, _ROOT2, -2, -_ROOT2 / 2, 1, 0],
            [0, -_ROOT2 / 2, -0.5, _ROOT2, 1, 0],
            [0, _ROOT2 / 2, -0.5, -_ROOT2, 1, 0],
            [0, 1, 0, -2.5, 0, 1],
        ],
        [
            [1, 0, 0],
            [-2 / 3, -_ROOT2 / 3, -1 / 3],
            [-2 / 3, _ROOT2 / 3, -1 / 3],
            [1 / 6, _ROOT2 / 6, 1 / 3],
            [1 / 6, -_ROOT2 / 6, 1 / 3],
            [0, 0, 1],
        ],
        [
            [1, 1, 1, 1, 1, 0],
            [0, _ROOT2 / 2, -_ROOT2 / 2, _ROOT2, -_ROOT2, 0],
            [0, 0.5, 0.5, 2, 2, 0],
            [0, _ROOT2 / 4, -_ROOT2 / 4, 2 * _ROOT2, -2 * _ROOT2, 1],
        ],
    ),
    6: _transforms(
        [
            [1, 0, -5.25, 0, 5.25, 0, -1, 0],
            [0, 1, 1, -4.25, -4.25, 1, 1, 0],
            [0, -1, 1, 4.25, -4.25, -1, 1, 0],
            [0, 0.5, 0.25, -2.5, -1.25, 2, 1, 0],
            [0, -0.5, 0.25, 2.5, -1.25, -2, 1, 0],
            [0, 2, 4, -2.5, -5, 0.5, 1, 0],
            [0, -2, 4, 2.5, -5, -0.5, 1, 0],
            [0, -1, 0, 5.25, 0, -5.25, 0, 1],
        ],
        [
            [1, 0, 0],
            [-2 / 9, -2 / 9, -2 / 9],
            [-2 / 9, 2 / 9, -2 / 9],
            [1 / 90, 1 / 45, 2 / 45],
            [1 / 90, -1 / 45, 2 / 45],
            [1 / 45, 1 / 90, 1 / 180],
            [1 / 45, -1 / 90, 1 / 180],
            [0, 0, 1],
        ],
        [
            [1, 1, 1, 1, 1, 32, 32, 0],
            [0, 1, -1, 2, -2, 16, -16, 0],
            [0, 1, 1, 4, 4, 8, 8, 0],
            [0, 1, -1, 8, -8, 4, -4, 0],
            [0, 1, 1, 16, 16, 2, 2, 0],
            [0, 1, -1, 32, -32, 1, -1, 1],
        ],
    ),
}


def tile_of(layer: Layer, inputs: int) -> int | None:
    """Return how many outputs along an axis a tile gives where a layer of so many input channels runs as winograd.

    None where it does not (`Convolution_arm::create_pipeline_fp16s` in convolution_arm_asimdhp.cpp).
    """
    outputs = layer.integer("num_output")
    if not runs_winograd(layer) or max(inputs, outputs) < 16:
        return None
    if max(inputs, outputs) <= 128:
        return 6
    return 4 if min(inputs, outputs) >= 16 else 2


def winograd_sums(
    weights: Array, bias: Array | None, padded: Array, tile: int, largest: float = LARGEST
) -> Array:
    """Convolve in fp16 by tiles; float32 (outputs, rows, columns), before the activation.

    `weights` is float32 (outputs, channels, 3, 3), `padded` the input, (channels, rows + 2, columns + 2), in fp16
    numbers as `bias` is. A sum beyond `largest` on the way becomes infinite.
    """
    rows, columns = padded.shape[1] - 2, padded.shape[2] - 2
    across = -(-columns // tile)
    transforms = _BY_TILE[tile]
    tiles = _to_tiles(padded, tile)
    kernels = to_half(transforms.weights @ weights @ transforms.weights.T)
    size = tile + 2
    # Each of the places of a tile is a product of matrices: (outputs, channels) by (channels, tiles).
    products = accumulate(
        kernels.transpose(2, 3, 0, 1).reshape(size * size, *weights.shape[:2]),
        _on_both_axes(transforms.inputs, tiles, largest).reshape(size * size, len(padded), -1),
        largest=largest,
    )
    results = _on_both_axes(transforms.outputs, products.reshape(size, size, -1), largest)
    maps = results.reshape(tile, tile, len(weights), -1, across).transpose(2, 3, 0, 4, 1)
    sums: Array = maps.reshape(len(weights), -1, tile * across)[:, :rows, :columns]
    if bias is not None:
        sums = to_half(sums + bias[:, None, None])
    return np.ascontiguousarray(sums)


def _to_tiles(padded: Array, tile: int) -> Array:
    """Return the input's tiles, which overlap by two, (rows, columns, channels · tiles)."""
    spare = [-(size - 2) % tile for size in padded.shape[1:]]
    full = np.pad(padded, ((0, 0), (0, spare[0]), (0, spare[1])))
    windows = np.lib.stride_tricks.sliding_window_view(full, (tile + 2, tile + 2), axis=(1, 2))
    places = windows[:, ::tile, ::tile].transpose(3, 4, 0, 1, 2)
    tiles: Array = places.reshape(tile + 2, tile + 2, -1)
    return tiles


def _on_both_axes(matrix: Array, values: Array, largest: float) -> Array:
    """Return matrix · v · matrix' of each v = values[:, :, place], rounded to fp16 at each step."""
    for _ in range(2):
        rows = values.reshape(1, len(values), -1)
        changed = accumulate(matrix[None], rows, largest=largest).reshape(len(matrix), *values.shape[1:])
        values = changed.transpose(1, 0, 2)
    return values
