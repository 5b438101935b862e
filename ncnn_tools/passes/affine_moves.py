"""What an affine map of a layer's input is as one of its output, and the other way around.

Layers that only move values (Reshape, Permute, ShuffleChannel, PixelShuffle, Crop) take each value's factor and
offset along. Those that average with weights whose sum is one (Interp, average pooling without counted padding) let
f·x + g pass, as Σw(f·x + g) = f·Σw·x + g, where f and g are the same for all that is averaged. Maximum pooling keeps
the order where f is not negative. ReLU and PReLU let a positive factor pass: max(f·x, 0) = f·max(x, 0).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.affine import Affine, Shape

_MAX, _FULL = 0, 0  # Pooling: pooling_type, pad_mode (src/layer/pooling.h)
_CONSTANT = 0  # Padding: type

Places = npt.NDArray[np.intp]
Move = Callable[[Layer, Affine, Shape, Shape], Affine | None]


def through_backwards(graph: Graph, layer: Layer, affine: Affine) -> Affine | None:
    """Return the map of a layer's only input that has the effect of this map of its only output, or None."""
    return _through(graph, layer, affine, _BACKWARDS)


def through_forwards(graph: Graph, layer: Layer, affine: Affine) -> Affine | None:
    """Return the map of a layer's only output that has the effect of this map of its only input, or None."""
    return _through(graph, layer, affine, _FORWARDS)


def _through(graph: Graph, layer: Layer, affine: Affine, moves: Mapping[str, Move]) -> Affine | None:
    move = moves.get(layer.type)
    if move is None or len(layer.inputs) != 1 or len(layer.outputs) != 1:
        return None
    before, after = (graph.shapes.get(blob) for blob in (layer.inputs[0], layer.outputs[0]))
    return None if before is None or after is None else move(layer, affine, before, after)


def permutation(layer: Layer, rank: int) -> tuple[int, ...]:
    """Return the axis of its input that each axis of a Permute layer's output is.

    ncnn's order types are the permutations of the axes, from the outside in, in lexicographic order
    (src/layer/permute.cpp).
    """
    return next(itertools.islice(itertools.permutations(range(rank)), layer.get("order_type"), None))


def shuffled_channels(layer: Layer, channels: int) -> Places:
    """Return the channel of its input that each channel of a ShuffleChannel layer's output is."""
    group = layer.get("group")
    rows = channels // group if layer.get("reverse") else group
    channel: Places = np.arange(channels).reshape(rows, -1).T.reshape(-1)
    return channel


def _reshape(affine: Affine, before: Shape, after: Shape) -> Affine | None:
    """Find the axis of `after` along which a map along an axis of `before` differs, where there is one."""
    if affine.axis is None:
        return affine
    size, inner = before[affine.axis], math.prod(before[affine.axis + 1 :])
    for axis, count in enumerate(after):
        step = math.prod(after[axis + 1 :])
        if inner % step == 0 and (count * step) % (size * inner) == 0:
            place = np.arange(count) * step // inner % size
            return Affine(axis, affine.factor[place], affine.offset[place])
    return None


def _permute(affine: Affine, axes: tuple[int, ...]) -> Affine:
    return affine if affine.axis is None else Affine(axes[affine.axis], affine.factor, affine.offset)


def _permute_backwards(layer: Layer, affine: Affine, before: Shape, _after: Shape) -> Affine:
    return _permute(affine, permutation(layer, len(before)))


def _permute_forwards(layer: Layer, affine: Affine, before: Shape, _after: Shape) -> Affine:
    axes = permutation(layer, len(before))
    return _permute(affine, tuple(axes.index(axis) for axis in range(len(axes))))


def _shuffle_backwards(layer: Layer, affine: Affine, before: Shape, _after: Shape) -> Affine:
    return _pick(affine, np.argsort(shuffled_channels(layer, before[0])))


def _shuffle_forwards(layer: Layer, affine: Affine, before: Shape, _after: Shape) -> Affine:
    return _pick(affine, shuffled_channels(layer, before[0]))


def _pick(affine: Affine, places: Places) -> Affine:
    return Affine(0, affine.factor[places], affine.offset[places]) if affine.axis == 0 else affine


def _pixel_shuffle_backwards(layer: Layer, affine: Affine, before: Shape, after: Shape) -> Affine | None:
    if affine.axis is None:
        return affine
    spread = np.arange(before[0])
    spread = spread % after[0] if layer.get("mode") else spread // (before[0] // after[0])
    return Affine(0, affine.factor[spread], affine.offset[spread]) if affine.axis == 0 else None


def _pixel_shuffle_forwards(_layer: Layer, affine: Affine, _before: Shape, _after: Shape) -> Affine | None:
    return affine if affine.axis is None else None


def _keep_channels(_layer: Layer, affine: Affine, before: Shape, after: Shape) -> Affine | None:
    return affine if affine.axis is None or (affine.axis == 0 and before[0] == after[0]) else None


def _crop(_layer: Layer, affine: Affine, before: Shape, after: Shape) -> Affine | None:
    kept = len(before) == len(after) and (affine.axis is None or before[affine.axis] == after[affine.axis])
    return affine if kept else None


def _pool(layer: Layer, affine: Affine, before: Shape, after: Shape) -> Affine | None:
    if layer.get("pooling_type") == _MAX:
        passes = bool((affine.factor >= 0).all())
    else:
        counts_padding = layer.get("avgpool_count_include_pad") and not (
            layer.get("global_pooling") or layer.get("adaptive_pooling")
        )
        passes = not counts_padding or affine.is_scale
    return _keep_channels(layer, affine, before, after) if passes else None


def _pad(layer: Layer, affine: Affine, before: Shape, after: Shape) -> Affine | None:
    if layer.get("type") == _CONSTANT and (layer.get("value") or layer.get("per_channel_size")):
        return None
    passes = affine.is_scale or layer.get("type") != _CONSTANT
    return _keep_channels(layer, affine, before, after) if passes else None


def _rectify(_layer: Layer, affine: Affine, _before: Shape, _after: Shape) -> Affine | None:
    return affine if affine.is_positive_scale else None


_SAME_BOTH_WAYS: dict[str, Move] = {
    "Interp": _keep_channels,
    "Crop": _crop,
    "Pooling": _pool,
    "Padding": _pad,
    "ReLU": _rectify,
    "PReLU": _rectify,
}
_RESHAPES = ("Reshape", "Flatten", "Squeeze", "ExpandDims")
_BACKWARDS: dict[str, Move] = {
    **_SAME_BOTH_WAYS,
    **dict.fromkeys(_RESHAPES, lambda _layer, affine, before, after: _reshape(affine, after, before)),
    "Permute": _permute_backwards,
    "ShuffleChannel": _shuffle_backwards,
    "PixelShuffle": _pixel_shuffle_backwards,
}
_FORWARDS: dict[str, Move] = {
    **_SAME_BOTH_WAYS,
    **dict.fromkeys(_RESHAPES, lambda _layer, affine, before, after: _reshape(affine, before, after)),
    "Permute": _permute_forwards,
    "ShuffleChannel": _shuffle_forwards,
    "PixelShuffle": _pixel_shuffle_forwards,
}
