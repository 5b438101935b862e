"""Rounding that makes up for itself: each column's rounding error is spread over the columns not yet rounded.

E. Frantar et al., "GPTQ: Accurate post-training quantization for generative pre-trained transformers", ICLR 2023,
after B. Hassibi and D. G. Stork, "Optimal brain surgeon", NIPS 1992. What is made small is the squared error of the
layer's output, Δw · H · Δwᵀ for each row, with H the second moments of the layer's inputs: the errors of correlated
inputs then cancel. Closed form, no labels, no training.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ncnn_tools.quantization.scales import Float32, Int8, round_half_away

Float64 = npt.NDArray[np.float64]

_DAMPING = 0.01  # of the mean diagonal, added to it: the paper's value, for moments of few rows
_BLOCK = 64  # columns whose errors are spread within the block first, for speed


def round_by_moments(rows: Float32, scales: Float32, moments: Float64) -> Int8:
    """Round a group's weights (outputs, columns) to int8 with a scale for each output.

    `moments` is (columns, columns), symmetric and positive semidefinite. Where it can't be factored the weights
    are rounded to the nearest.
    """
    nearest = round_half_away(rows * scales[:, None])
    factor = _inverse_factor(moments)
    if factor is None:
        return nearest
    left = rows.astype(np.float64) * scales[:, None]
    result = np.empty(rows.shape, np.int8)
    columns = rows.shape[1]
    for start in range(0, columns, _BLOCK):
        stop = min(start + _BLOCK, columns)
        errors = np.empty((len(rows), stop - start))
        for column in range(start, stop):
            result[:, column] = round_half_away(left[:, column].astype(np.float32))
            error = (left[:, column] - result[:, column]) / factor[column, column]
            errors[:, column - start] = error
            left[:, column + 1 : stop] -= error[:, None] * factor[column, column + 1 : stop]
        left[:, stop:] -= errors @ factor[start:stop, stop:]
    better = _cost(rows, scales, result, moments) < _cost(rows, scales, nearest, moments)
    chosen: Int8 = np.where(better[:, None], result, nearest)
    return chosen


def _inverse_factor(moments: Float64) -> Float64 | None:
    """Return the upper Cholesky factor of the damped moments' inverse; None where there is none."""
    diagonal = np.diag(moments)
    mean = diagonal.mean()
    if not mean > 0:
        return None
    damped = moments + np.diag(_DAMPING * mean + np.zeros(len(diagonal)))
    try:
        upper: Float64 = np.linalg.cholesky(np.linalg.inv(damped)).T
    except np.linalg.LinAlgError:
        return None
    return upper


def _cost(rows: Float32, scales: Float32, quantized: Int8, moments: Float64) -> Float64:
    """Return each output's squared error, up to a factor."""
    delta = quantized / scales[:, None].astype(np.float64) - rows
    cost: Float64 = ((delta @ moments) * delta).sum(axis=1)
    return cost
