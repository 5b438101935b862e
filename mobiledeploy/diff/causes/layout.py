"""The right values in the wrong places, and maps that are wrong at their border alone."""

from __future__ import annotations

import itertools

import numpy as np

from mobiledeploy.diff.causes.evidence import Evidence

_SIDES = ("top", "bottom", "left", "right")


def another_size(evidence: Evidence) -> str | None:
    """The two can't be compared value by value."""
    if evidence.reference.size == evidence.candidate.size:
        return None
    return (
        f"the shapes differ: {_shape(evidence.reference)} in the reference, {_shape(evidence.candidate)} here"
    )


def permuted_axes(evidence: Evidence) -> str | None:
    """A transpose that is missing, is too much, or has other axes."""
    if not evidence.finite:
        return None
    candidate, reference = _squeezed(evidence.candidate), _squeezed(evidence.reference)
    rank = candidate.ndim
    if rank != reference.ndim or rank > 4:
        return None
    orders = [order for order in itertools.permutations(range(rank)) if list(order) != sorted(order)]
    for order in orders:
        moved = candidate.transpose(order)
        if moved.shape == reference.shape and evidence.explained_by(reference, moved):
            return f"permuted axes: transposed by {order} it equals the reference"
    for order in orders:
        # Values are compared in C order, so that the shape of the transposed data does not matter.
        if evidence.explained_by(reference.transpose(order), candidate):
            return f"permuted axes: the reference's data transposed by {order}, under another shape"
    return None


def reversed_channels(evidence: Evidence) -> str | None:
    """RGB and BGR."""
    if not evidence.alike or not evidence.finite or evidence.reference.ndim < 3:
        return None
    if not evidence.explained_by(evidence.reference, evidence.candidate[::-1]):
        return None
    return "reversed channels: the reference has them in the opposite order (RGB and BGR, say)"


def same_values_elsewhere(evidence: Evidence) -> str | None:
    """A reshape or shuffle in another order than those that are tried by name."""
    if not evidence.finite or evidence.reference.size != evidence.candidate.size:
        return None
    r, c = (np.sort(array, axis=None) for array in (evidence.reference, evidence.candidate))
    # Sorting makes noise small wherever distributions agree, so that more than the usual is asked.
    strict = Evidence(evidence.reference, evidence.candidate, min(evidence.tolerance, 1e-3))
    if r.size < 2 or not strict.explained_by(r, c):
        return None
    return "the same values in other places: a reshape, transpose or shuffle in another order"


def shifted(evidence: Evidence) -> str | None:
    """Padding on the wrong side moves the whole map by a pixel."""
    if not _is_map(evidence):
        return None
    r, c = evidence.reference, evidence.candidate
    for down, right in itertools.product((-1, 0, 1), repeat=2):
        moved = np.roll(c, (-down, -right), (-2, -1))[..., 1:-1, 1:-1]
        if (down, right) != (0, 0) and evidence.explained_by(r[..., 1:-1, 1:-1], moved):
            return f"wrong padding: the map is shifted, by {down} down and {right} right"
    return None


def border_alone(evidence: Evidence) -> str | None:
    """Padding of another kind or value: the error is at the border and nowhere else."""
    if not _is_map(evidence):
        return None
    height, width = evidence.reference.shape[-2:]
    bad = _error_map(evidence) > evidence.tolerance
    for depth in range(1, min(height, width) // 4 + 1):
        inside = (slice(depth, -depth), slice(depth, -depth))
        if bad[inside].any():
            continue
        r, c = (array[..., inside[0], inside[1]] for array in (evidence.reference, evidence.candidate))
        if not evidence.explained_by(r, c):
            return None
        strips = (bad[:depth], bad[-depth:], bad[:, :depth], bad[:, -depth:])
        inner = slice(depth, -depth)  # corners belong to two sides
        along = (strips[0][:, inner], strips[1][:, inner], strips[2][inner], strips[3][inner])
        sides = [side for side, strip in zip(_SIDES, along, strict=True) if strip.any()]
        where = "border" if len(sides) in (0, 4) else f"border ({', '.join(sides)})"
        return f"wrong padding: the error is in the outer {depth} pixels of the {where} alone"
    return None


def _is_map(evidence: Evidence) -> bool:
    shape = evidence.reference.shape
    return evidence.alike and evidence.finite and len(shape) >= 2 and min(shape[-2:]) >= 4


def _error_map(evidence: Evidence) -> np.ndarray:
    """Return the largest |error| of each pixel over all channels, relative to the largest |value| of the tensor."""
    error = np.abs(evidence.candidate.astype(np.float64) - evidence.reference)
    largest = float(np.abs(evidence.reference).max(initial=0.0)) or 1.0
    worst: np.ndarray = error.reshape(-1, *error.shape[-2:]).max(axis=0) / largest
    return worst


def _squeezed(array: np.ndarray) -> np.ndarray:
    return array.reshape([extent for extent in array.shape if extent != 1])


def _shape(array: np.ndarray) -> str:
    return "x".join(str(extent) for extent in array.shape) or "one value"
