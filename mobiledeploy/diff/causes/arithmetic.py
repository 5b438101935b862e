"""A step that is missing or too much: an activation, a factor, a bias, a batch norm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mobiledeploy.diff.causes.evidence import Evidence, rms

_Function = Callable[[np.ndarray], np.ndarray]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1 / (1 + np.exp(-np.clip(x, -80, 80)))
    return result


_ACTIVATIONS: dict[str, _Function] = {
    "ReLU": lambda x: np.maximum(x, 0),
    "ReLU6": lambda x: np.clip(x, 0, 6),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "SiLU": lambda x: x * _sigmoid(x),
    "HardSigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
}


def activation(evidence: Evidence) -> str | None:
    """An activation that one of the two has and the other has not."""
    if not evidence.alike or not evidence.finite:
        return None
    reference, candidate = (array.astype(np.float64) for array in (evidence.reference, evidence.candidate))
    for name, function in _ACTIVATIONS.items():
        if evidence.explained_by(reference, function(candidate)):
            return f"a missing activation: with {name} it equals the reference"
        if evidence.explained_by(function(reference), candidate):
            return f"an activation too much: it equals {name} of the reference"
    return _leaky(evidence)


def _leaky(evidence: Evidence) -> str | None:
    """Equal where the reference is positive, and a multiple of it a channel elsewhere."""
    positive = evidence.reference > 0
    if positive.all() or not positive.any():
        return None
    r, c = evidence.reference, evidence.candidate
    if not evidence.explained_by(np.where(positive, r, 0), np.where(positive, c, 0)):
        return None
    return "another activation: it equals the reference where that is positive, and differs elsewhere"


def constant_factor(evidence: Evidence) -> str | None:
    """Everything is too large or too small by one factor: a scale left out, or a mean over another count."""
    if not evidence.alike or not evidence.finite:
        return None
    r, c = (array.astype(np.float64) for array in (evidence.reference, evidence.candidate))
    energy = float(np.sum(r * r))
    factor = float(np.sum(r * c)) / energy if energy else 0.0
    if factor == 0 or not evidence.explained_by(r, c / factor):
        return None
    return f"a constant factor: the values are {factor:.4g} times the reference's"


def one_offset_a_channel(evidence: Evidence) -> str | None:
    """A bias that is missing, added twice, or another's."""
    if not _has_channels(evidence):
        return None
    r, c = _by_channel(evidence.reference), _by_channel(evidence.candidate)
    offsets = (c - r).mean(axis=1, keepdims=True)
    if not evidence.explained_by(r, c - offsets):
        return None
    return f"a bias: each channel differs by a constant of its own, {rms(offsets):.3g} in the mean (rms)"


def channel_scale_and_offset(evidence: Evidence) -> str | None:
    """A batch norm that is missing, or was folded with other numbers."""
    if not _has_channels(evidence):
        return None
    r, c = _by_channel(evidence.reference), _by_channel(evidence.candidate)
    centred = c - c.mean(axis=1, keepdims=True)
    spread = np.sum(centred * centred, axis=1, keepdims=True)
    slope = np.sum(centred * r, axis=1, keepdims=True) / np.where(spread == 0, 1, spread)
    if not evidence.explained_by(r, slope * centred + r.mean(axis=1, keepdims=True)):
        return None
    return (
        "a scale and a bias: each channel differs by both, as where a batch norm is missing or folded wrongly"
    )


def _has_channels(evidence: Evidence) -> bool:
    """Say whether channels have values enough that two numbers each would not fit by chance."""
    shape = evidence.reference.shape
    pixels = evidence.reference.size // shape[0] if evidence.reference.ndim > 1 else 0
    return evidence.alike and evidence.finite and pixels >= 16


def _by_channel(array: np.ndarray) -> np.ndarray:
    flat: np.ndarray = array.reshape(array.shape[0], -1).astype(np.float64)
    return flat
