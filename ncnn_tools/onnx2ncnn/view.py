"""Views: a tensor as values that stand in a blob, perhaps in another order.

Reshape, Transpose and their like only move values. The converter notes what they ask for and moves nothing until
some layer needs the result (`movement` then finds the fewest layers for it). A view reads its blob as an array of
the sizes `factors`, takes these axes in `order`, and sees the values that come out as an array of `shape`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

Shape = tuple[int, ...]

MAX_AXES = 4  # of ncnn's Mat: c, d, h, w


@dataclass(frozen=True)
class View:
    """A tensor of ONNX shape `shape` that stands, perhaps in another order, in `blob`."""

    blob: str
    shape: Shape
    factors: Shape
    order: tuple[int, ...]

    @classmethod
    def of(cls, blob: str, shape: Sequence[int]) -> View:
        """See a blob whose values stand in the tensor's own order."""
        return cls(blob, tuple(shape), tuple(shape), tuple(range(len(shape))))

    @property
    def in_order(self) -> bool:
        """Say whether the blob's values stand in the tensor's own order."""
        moved = [axis for axis in self.order if self.factors[axis] != 1]
        return moved == sorted(moved)

    def reshaped(self, shape: Sequence[int]) -> View:
        """See the same values, in the same order, as an array of another shape."""
        return replace(self, shape=tuple(shape))

    def transposed(self, perm: Sequence[int]) -> View | None:
        """See the axes in another order; None where the values have to be moved first."""
        if self.in_order:
            return View(self.blob, tuple(self.shape[axis] for axis in perm), self.shape, tuple(perm))
        sizes = tuple(self.factors[axis] for axis in self.order)
        refined = common_refinement(sizes, self.shape)
        if refined is None:
            return None
        factors, order = _split_factors(self.factors, self.order, refined)
        places = groups(refined, self.shape)
        moved = tuple(order[place] for axis in perm for place in places[axis])
        return View(self.blob, tuple(self.shape[axis] for axis in perm), factors, moved)


def ncnn_shape(shape: Sequence[int]) -> Shape:
    """Return the shape that a tensor of an ONNX shape has in ncnn.

    A batch of 1 (the first of several axes) goes. Of more than four axes those of size 1 go, from the outside in;
    what is still too many is merged into the first.
    """
    axes = list(shape)
    if len(axes) > 1 and axes[0] == 1:
        del axes[0]
    while len(axes) > MAX_AXES and 1 in axes:
        axes.remove(1)
    if len(axes) > MAX_AXES:
        axes[: 1 - MAX_AXES] = [math.prod(axes[: 1 - MAX_AXES])]
    return tuple(axes) or (1,)


def ncnn_axis(shape: Sequence[int], axis: int) -> int | None:
    """Return where an ONNX axis (not negative) stands in `ncnn_shape`; None where it was dropped or merged."""
    held = list(range(len(shape)))
    if len(held) > 1 and shape[0] == 1:
        del held[0]
    while len(held) > MAX_AXES and any(shape[i] == 1 for i in held):
        held.remove(next(i for i in held if shape[i] == 1))
    merged = max(len(held) - MAX_AXES, 0)  # these, and the one after them, are the first axis
    if axis not in held or (merged and held.index(axis) <= merged):
        return None
    return held.index(axis) - merged


def common_refinement(first: Sequence[int], second: Sequence[int]) -> Shape | None:
    """Return the coarsest sizes that both lists are groups of, without ones; None where there are none.

    (6, 4) and (2, 12) have (2, 3, 4); (4, 6) and (6, 4) have none.
    """
    ends = sorted(set(_ends(first)) | set(_ends(second)))
    sizes = []
    for before, after in zip([1, *ends], ends, strict=False):
        if after % before:
            return None
        sizes.append(after // before)
    return tuple(sizes)


def _ends(sizes: Sequence[int]) -> list[int]:
    """Return the products of the first n sizes, n > 0, without those of ones."""
    ends, product = [], 1
    for size in sizes:
        product *= size
        if size != 1:
            ends.append(product)
    return ends


def groups(refined: Sequence[int], shape: Sequence[int]) -> list[list[int]]:
    """Return, for each axis of `shape`, the places in `refined` that make it up."""
    found: list[list[int]] = []
    place = 0
    for size in shape:
        found.append([])
        product = 1
        while product < size:
            product *= refined[place]
            found[-1].append(place)
            place += 1
    return found


def _split_factors(factors: Shape, order: Sequence[int], refined: Shape) -> tuple[Shape, tuple[int, ...]]:
    """Split factors so that, taken in order, they are `refined`; returns the new factors and order."""
    parts = dict(zip(order, groups(refined, [factors[axis] for axis in order]), strict=True))
    new_factors: list[int] = []
    place_of: dict[int, int] = {}
    for axis in range(len(factors)):
        for place in parts[axis]:
            place_of[place] = len(new_factors)
            new_factors.append(refined[place])
    return tuple(new_factors), tuple(place_of[place] for place in range(len(refined)))
