"""The fewest ncnn layers that bring the values of a blob into another order and shape.

A movement reads a blob of one shape as factors, permutes them, and sees the result in another shape. Some are one
layer of ncnn (ShuffleChannel, PixelShuffle, Reorg); any other is Reshape, Permute, Reshape, of which those that
change nothing are left out. Permute knows four axes: where more move, a search finds the fewest Permutes.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ncnn_tools.onnx2ncnn.view import MAX_AXES, Shape, common_refinement, groups
from ncnn_tools.schema import ParamValue

Order = tuple[int, ...]

# ncnn's Permute (src/layer/permute.cpp): the result's axes from the inside out, named by the input's, for each
# order_type. w is the last axis of the input, then h, (d,) c.
_PERMUTE_ORDERS = {
    1: ["w"],
    2: ["w h", "h w"],
    3: ["w h c", "h w c", "w c h", "c w h", "h c w", "c h w"],
    4: [
        *("w h d c", "h w d c", "w d h c", "d w h c", "h d w c", "d h w c"),
        *("w h c d", "h w c d", "w c h d", "c w h d", "h c w d", "c h w d"),
        *("w d c h", "d w c h", "w c d h", "c w d h", "d c w h", "c d w h"),
        *("h d c w", "d h c w", "h c d w", "c h d w", "d c h w", "c d h w"),
    ],
}
_AXIS_NAMES = {1: ("w",), 2: ("h", "w"), 3: ("c", "h", "w"), 4: ("c", "d", "h", "w")}


class Step(NamedTuple):
    """A layer of a movement: its type, its parameters, and the shape of what it gives."""

    kind: str
    params: dict[str, ParamValue]
    shape: Shape


def axis_sizes(shape: Sequence[int]) -> dict[str, ParamValue]:
    """Name the axes of an ncnn shape as Input, Reshape and MemoryData do: (c, d, h, w) from the outside in."""
    return dict(zip(_AXIS_NAMES[len(shape)], map(int, shape), strict=True))


def plan_movement(source: Shape, factors: Shape, order: Order, target: Shape) -> list[Step]:
    """Return the layers that lead from a blob of shape `source` to one of shape `target`.

    The values of the result are those of the source, read as `factors`, with these axes in `order`.
    """
    factors, order = merge_axes(factors, order)
    if order == tuple(range(len(order))):
        return [] if source == target else [_reshape(target)]
    named = _named(source, factors, order, target)
    if named is not None:
        return [named]
    if len(factors) > MAX_AXES:
        return _several_permutes(source, factors, order, target)
    plans = [_one_permute(source, *axes, target) for axes in _readings(source, factors, order, target)]
    return min(plans, key=len)


def merge_axes(factors: Shape, order: Order) -> tuple[Shape, Order]:
    """Drop axes of size 1 and merge those that stay neighbours; the movement is the same."""
    kept = [axis for axis in order if factors[axis] != 1]
    # Axis numbers without gaps, so that neighbours are those that differ by one.
    rank_of = {axis: rank for rank, axis in enumerate(sorted(kept))}
    sizes = {rank: factors[axis] for axis, rank in rank_of.items()}
    runs: list[list[int]] = []
    for rank in (rank_of[axis] for axis in kept):
        if runs and runs[-1][-1] + 1 == rank:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    ordered = sorted(runs)
    merged = tuple(math.prod(sizes[rank] for rank in run) for run in ordered)
    return merged, tuple(ordered.index(run) for run in runs)


def _reshape(shape: Shape) -> Step:
    return Step("Reshape", axis_sizes(shape), shape)


def _readings(source: Shape, factors: Shape, order: Order, target: Shape) -> Iterator[tuple[Shape, Order]]:
    """Yield finer readings of the same movement too: one that is the blob's own shape saves a Reshape."""
    finer = common_refinement(source, factors)
    readings = [(factors, order)]
    if finer is not None:
        readings += [axes for axes in _refinements(factors, order, finer, target) if len(axes[0]) <= MAX_AXES]
    yield from readings
    for sizes, places in readings:
        if sizes != source and sizes == tuple(size for size in source if size != 1):
            yield _with_ones(source, places, target)


def _with_ones(source: Shape, order: Order, target: Shape) -> tuple[Shape, Order]:
    """Give a reading, whose axes are those of the source but for size 1, these too, placed as in the target."""
    axes = [axis for axis, size in enumerate(source) if size != 1]
    ones = [axis for axis, size in enumerate(source) if size == 1]
    moved = [axes[place] for place in order]
    if len(target) != len(source) or [source[axis] for axis in moved] != [s for s in target if s != 1]:
        return source, (*ones, *moved)
    kept, added = iter(moved), iter(ones)
    return source, tuple(next(added if size == 1 else kept) for size in target)


def _refinements(factors: Shape, order: Order, finer: Shape, target: Shape) -> Iterator[tuple[Shape, Order]]:
    refined = _refine(factors, order, finer)
    yield refined
    sizes, places = refined
    result = common_refinement([sizes[axis] for axis in places], target)
    if result is not None:
        yield _refine_result(sizes, places, result)


def _refine(factors: Shape, order: Order, finer: Shape) -> tuple[Shape, Order]:
    """Split factors into finer ones, which keep their place in the order."""
    parts = groups(finer, factors)
    return finer, tuple(part for axis in order for part in parts[axis])


def _refine_result(factors: Shape, order: Order, finer: Shape) -> tuple[Shape, Order]:
    """Split factors so that the result has the axes `finer`."""
    inverse = tuple(order.index(axis) for axis in range(len(order)))
    sizes, back = _refine(tuple(factors[axis] for axis in order), inverse, finer)
    return tuple(sizes[axis] for axis in back), tuple(back.index(axis) for axis in range(len(back)))


def _one_permute(source: Shape, factors: Shape, order: Order, target: Shape) -> list[Step]:
    steps = [] if source == factors else [_reshape(factors)]
    result = tuple(factors[axis] for axis in order)
    steps.append(Step("Permute", {"order_type": permute_type(order)}, result))
    return steps if result == target else [*steps, _reshape(target)]


def permute_type(order: Order) -> int:
    """Return ncnn's order_type for up to four axes, from the outside in."""
    names = _AXIS_NAMES[len(order)]
    wanted = " ".join(names[axis] for axis in reversed(order))
    return _PERMUTE_ORDERS[len(order)].index(wanted)


def _several_permutes(source: Shape, factors: Shape, order: Order, target: Shape) -> list[Step]:
    """Permute runs of axes, four at a time, in the fewest steps (breadth first)."""
    steps: list[Step] = []
    shape, current = source, tuple(range(len(order)))
    for cuts, blocks in _block_moves(order):
        sizes = tuple(math.prod(factors[axis] for axis in run) for run in _runs(current, cuts))
        moved = tuple(axis for block in blocks for axis in _runs(current, cuts)[block])
        result = tuple(sizes[block] for block in blocks)
        if shape != sizes:
            steps.append(_reshape(sizes))
        steps.append(Step("Permute", {"order_type": permute_type(blocks)}, result))
        shape, current = result, moved
    return steps if shape == target else [*steps, _reshape(target)]


Move = tuple[tuple[int, ...], Order]  # where the axes are cut into runs, and the order of the runs


@functools.cache
def _block_moves(goal: Order) -> list[Move]:
    """Return the fewest moves of up to four runs of axes each that lead to an order of axes."""
    start = tuple(range(len(goal)))
    came_from: dict[Order, tuple[Order, Move] | None] = {start: None}
    waiting = deque([start])
    while goal not in came_from:
        state = waiting.popleft()
        for move in _moves(len(state)):
            cuts, blocks = move
            runs = _runs(state, cuts)
            following = tuple(axis for block in blocks for axis in runs[block])
            if following not in came_from:
                came_from[following] = (state, move)
                waiting.append(following)
    path: list[Move] = []
    step = came_from[goal]
    while step is not None:
        path.insert(0, step[1])
        step = came_from[step[0]]
    return path


def _moves(axes: int) -> Iterator[Move]:
    for count in range(2, MAX_AXES + 1):
        for cuts in itertools.combinations(range(1, axes), count - 1):
            for blocks in itertools.permutations(range(count)):
                yield cuts, blocks


def _runs(state: Order, cuts: Sequence[int]) -> list[Order]:
    edges = [0, *cuts, len(state)]
    return [state[a:b] for a, b in itertools.pairwise(edges)]


def _named(source: Shape, factors: Shape, order: Order, target: Shape) -> Step | None:
    """Return the one layer of ncnn that is this movement of a feature map (c, h, w), or None."""
    if len(source) != 3 or len(target) != 3:
        return None
    channels, height, width = source
    if source == target and len(factors) in (2, 3) and order in ((1, 0, 2), (1, 0)):
        group = factors[0]
        if group * factors[1] == channels:
            return Step("ShuffleChannel", {"group": group}, target)
    for factor in _scale(target, source):
        outer, inside = channels // factor**2, (height, width)
        for mode, sizes, places in (
            (0, (outer, factor, factor, *inside), (0, 3, 1, 4, 2)),
            (1, (factor, factor, outer, *inside), (2, 3, 0, 4, 1)),
        ):
            if merge_axes(sizes, places) == (factors, order):
                return Step("PixelShuffle", {"upscale_factor": factor, "mode": mode}, target)
    for factor in _scale(source, target):
        small = (target[1], target[2])
        sizes = (channels, small[0], factor, small[1], factor)
        for mode, places in ((0, (0, 2, 4, 1, 3)), (1, (2, 4, 0, 1, 3))):
            if merge_axes(sizes, places) == (factors, order):
                return Step("Reorg", {"stride": factor, "mode": mode}, target)
    return None


def _scale(large: Shape, small: Shape) -> list[int]:
    """Return [factor] where one map is as much higher and wider as it has fewer channels."""
    factor = large[1] // small[1]
    same = (small[1] * factor, small[2] * factor) == large[1:] and small[0] == large[0] * factor**2
    return [factor] if factor > 1 and same else []
