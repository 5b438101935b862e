"""Sums of products that are rounded to fp16 at each step, as ncnn's fp16sa kernels accumulate (`vfmaq_f16`).

Those kernels keep between one and eight partial sums, by their shape and packing; here there is one, in the order of
the weights, so that single values differ from a device's and their errors are as large.
"""

from __future__ import annotations

import numpy as np

from ncnn_tools.half_precision.rounding import LARGEST, Array, to_half

_BLOCK = 1 << 15  # values of a sum that are worked on at once: with their scratch they stay in a core's cache

# x · (2^13 + 1) splits a float32 of 24 bits into its upper 11 and the rest (T. J. Dekker, "A floating-point technique
# for extending the available precision", Numerische Mathematik 18, 1971), which is fp16's rounding but for its range.
_SPLITTER = np.float32(2**13 + 1)
# Where the largest sum is above this, what subnormal fp16 numbers lose (at most 3e-8 a step) is nothing beside it.
_SMALL = 2.0**-4


def accumulate(weights: Array, rows: Array, bias: Array | None = None, largest: float = LARGEST) -> Array:
    """Return weights @ rows + bias in fp16 arithmetic, float32 (groups, outputs, columns).

    `weights` is (groups, outputs, depth), `rows` is (groups, depth, columns), `bias` is (groups, outputs); all hold
    fp16 numbers. A sum beyond `largest` on the way becomes infinite.
    """
    groups, outputs, _ = weights.shape
    columns = rows.shape[2]
    sums = np.empty((groups, outputs, columns), np.float32)
    width = max(1, min(columns, _BLOCK // outputs))
    height = max(1, _BLOCK // (outputs * width))
    for group in range(0, groups, height):
        taken = slice(group, group + height)
        for column in range(0, columns, width):
            place = taken, slice(None), slice(column, column + width)
            part = bias[taken] if bias is not None else None
            sums[place] = _block(weights[taken], np.ascontiguousarray(rows[place]), part, largest)
    return sums


def _block(weights: Array, rows: Array, bias: Array | None, largest: float) -> Array:
    sums = np.zeros((len(weights), weights.shape[1], rows.shape[2]), np.float32)
    with np.errstate(all="ignore"):  # an infinity is a result here
        reach = np.matmul(np.abs(weights), np.abs(rows))
        if bias is not None:
            sums += bias[:, :, None]
            reach += np.abs(bias)[:, :, None]
        if _SMALL < reach.max(initial=0.0) <= largest:
            _add_rounded(sums, weights, rows)
            return to_half(sums)
        return _add_in_range(sums, weights, rows, largest)


def _add_rounded(sums: Array, weights: Array, rows: Array) -> None:
    """Add the products to the sums, rounded to 11 bits; for sums that stay within fp16's range."""
    product, rest = np.empty_like(sums), np.empty_like(sums)
    for step in range(rows.shape[1]):
        np.multiply(weights[:, :, step, None], rows[:, None, step], out=product)
        sums += product
        np.multiply(sums, _SPLITTER, out=product)
        np.subtract(product, sums, out=rest)
        np.subtract(product, rest, out=sums)


def _add_in_range(sums: Array, weights: Array, rows: Array, largest: float) -> Array:
    """Return the sums with the products added, each step a number of fp16."""
    product, halves = np.empty_like(sums), np.empty(sums.shape, np.float16)
    for step in range(rows.shape[1]):
        np.multiply(weights[:, :, step, None], rows[:, None, step], out=product)
        sums += product
        halves[...] = sums
        sums[...] = halves
        if largest < LARGEST:
            sums[np.abs(sums) > largest] *= np.inf
    return sums
