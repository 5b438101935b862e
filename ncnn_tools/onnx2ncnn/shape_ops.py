"""Operators that join and cut tensors: Concat, Split, Slice, Gather, Tile; and CumSum."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.onnx2ncnn.view import Shape, View, ncnn_axis

_MOST_PIECES = 64  # of a Gather: each is a Crop


def convert_concat(node: Node, build: Builder) -> None:
    """Concat → Concat."""
    shape = build.shape(node.outputs[0])
    axis = build.positive_axis(node, node.outputs[0], int(node.attribute("axis")))
    tensors = [tensor for tensor in node.inputs if 0 not in build.shape(tensor)]
    if len(tensors) == 1:
        build.see(node.outputs[0], build.view(node, tensors[0]))
        return
    held = ncnn_axis(shape, axis)
    inputs_held = {ncnn_axis(build.shape(tensor), axis) for tensor in tensors}
    if held is not None and inputs_held == {held}:
        blobs = [build.blob(node, tensor) for tensor in tensors]
        build.add("Concat", node, blobs, axis=held)
        return
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    if outer == 1:  # then a concatenation of all values in their order
        blobs = [
            build.blob(
                node,
                tensor,
                (build.shape(tensor)[axis], inner) if inner > 1 else (build.shape(tensor)[axis],),
            )
            for tensor in tensors
        ]
        target: Shape = (shape[axis], inner) if inner > 1 else (shape[axis],)
        build.add("Concat", node, blobs, shapes=[target], axis=0)
        return
    blobs = [build.blob(node, tensor, (outer, build.shape(tensor)[axis], inner)) for tensor in tensors]
    build.add("Concat", node, blobs, shapes=[(outer, shape[axis], inner)], axis=1)


def convert_split(node: Node, build: Builder) -> None:
    """Split → Slice. The sizes are read off the inferred shapes, whatever way the opset gives them."""
    tensor = node.inputs[0]
    axis = build.positive_axis(node, tensor, int(node.attribute("axis", 0)))
    for name in ("split", "num_outputs"):
        node.attribute(name)
    if node.has_input(1) and build.constant(node.inputs[1]) is None:
        raise node.unsupported("its sizes should be constants", "split")
    # A part that holds nothing is no blob. Concat leaves it out; any other reader says that it can't be converted.
    node.outputs = [output for output in node.outputs if build.shape(output)[axis] > 0]
    sizes = tuple(build.shape(output)[axis] for output in node.outputs)
    if sum(sizes) != build.shape(tensor)[axis]:
        raise node.unsupported(
            f"the model says that its parts of {build.shape(tensor)} have sizes {sizes}", "split"
        )
    if len(sizes) == 1:
        build.see(node.outputs[0], build.view(node, tensor))
        return
    blob, place, shape = build.blob_around(node, tensor, axis)
    shapes = [(*shape[:place], size, *shape[place + 1 :]) for size in sizes]
    build.add("Slice", node, [blob], shapes=shapes, slices=sizes, axis=place)


def convert_slice(node: Node, build: Builder) -> None:
    """Slice → Crop; with steps other than 1 → Crops of single values, joined again."""
    tensor = node.inputs[0]
    starts, ends = (integers(node, build, i, name) for i, name in ((1, "starts"), (2, "ends")))
    if starts is None or ends is None:
        raise node.unsupported("its bounds are missing", "starts")
    axes = integers(node, build, 3, "axes") or list(range(len(starts)))
    steps = integers(node, build, 4, "steps") or [1] * len(starts)
    shape = build.shape(tensor)
    view = build.view(node, tensor)
    picks = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        place = build.positive_axis(node, tensor, axis, "axes")
        indices = list(range(*slice(start, _end(end, step), step).indices(shape[place])))
        if not indices:
            raise node.unsupported("its result is empty", "ends")
        if indices != list(range(shape[place])):
            picks[place] = indices
    held = _held(shape, picks)
    if held is not None and all(_is_run(indices) for indices in picks.values()):
        _crop_once(node, build, held)
        return
    for place, indices in picks.items():
        view = pick(node, build, view, place, indices)
    build.see(node.outputs[0], view)


def _end(end: int, step: int) -> int | None:
    """ONNX writes "to the very first" as a large negative number, Python as None."""
    return None if step < 0 and end < -(2**31) + 1 else end


def _held(shape: Shape, picks: dict[int, list[int]]) -> dict[int, list[int]] | None:
    """Return the picks by ncnn's axes, or None where it has not all of them."""
    held = {ncnn_axis(shape, axis): indices for axis, indices in picks.items()}
    return {axis: indices for axis, indices in held.items() if axis is not None} if None not in held else None


def _crop_once(node: Node, build: Builder, picks: dict[int, list[int]]) -> None:
    blob = build.blob(node, node.inputs[0])
    if not picks:
        build.see(node.outputs[0], build.view(node, node.inputs[0]))
        return
    shape = list(build.graph.shapes[blob])
    for axis, indices in picks.items():
        shape[axis] = len(indices)
    starts = tuple(indices[0] for indices in picks.values())
    ends = tuple(indices[-1] + 1 for indices in picks.values())
    build.add("Crop", node, [blob], shapes=[tuple(shape)], starts=starts, ends=ends, axes=tuple(picks))


def convert_gather(node: Node, build: Builder) -> None:
    """Gather of constant indices → Crop, several of them joined where the indices are no run."""
    tensor = node.inputs[0]
    index = build.constant(node.inputs[1])
    axis = build.positive_axis(node, tensor, int(node.attribute("axis", 0)))
    if index is None or build.constant(tensor) is not None:
        raise node.unsupported("its indices should be constant and its data an activation", "indices")
    size = build.shape(tensor)[axis]
    if not np.all((index >= -size) & (index < size)):
        raise node.unsupported(f"its indices reach beyond the {size} values of axis {axis}", "indices")
    indices = [int(value) % size for value in index.reshape(-1)]
    view = pick(node, build, build.view(node, tensor), axis, indices)
    build.see(node.outputs[0], view.reshaped(build.shape(node.outputs[0])))


def pick(node: Node, build: Builder, view: View, axis: int, indices: Sequence[int]) -> View:
    """Add what takes some indices of an axis, in their order; returns the view of the result."""
    shape = view.shape
    if list(indices) == list(range(shape[axis])):
        return view
    target = (*shape[:axis], len(indices), *shape[axis + 1 :])
    stride = _stride(indices, shape[axis])
    if stride > 1:  # every so many: one column of the axis seen as a matrix
        columns = view.reshaped((*shape[:axis], shape[axis] // stride, stride, *shape[axis + 1 :]))
        return pick(node, build, columns, axis + 1, [indices[0]]).reshaped(target)
    around: Shape = (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
    place = 1
    if around[0] == 1:
        around, place = around[1:], 0
    blob = build.move(view, around, f"{node.name}_input")
    if list(indices) == list(range(shape[axis]))[::-1]:
        return View.of(build.add_hidden("Flip", node, [blob], around, axes=(place,)), target)
    runs = _runs(indices)
    if len(runs) > _MOST_PIECES:
        raise node.unsupported(f"its indices are {len(runs)} runs; at most {_MOST_PIECES} can be joined")
    pieces = []
    for first, last in runs:
        part = (*around[:place], last - first, *around[place + 1 :])
        pieces.append(
            build.add_hidden("Crop", node, [blob], part, starts=(first,), ends=(last,), axes=(place,))
        )
    if len(pieces) == 1:
        return View.of(pieces[0], target)
    whole = (*around[:place], len(indices), *around[place + 1 :])
    return View.of(build.add_hidden("Concat", node, pieces, whole, axis=place), target)


def _stride(indices: Sequence[int], size: int) -> int:
    """Return the step with which the indices go through a whole axis, or 0."""
    step = indices[1] - indices[0] if len(indices) > 1 else 0
    if step < 2 or size % step or list(indices) != list(range(indices[0] % step, size, step)):
        return 0
    return step


def _is_run(indices: Sequence[int]) -> bool:
    return all(b == a + 1 for a, b in itertools.pairwise(indices))


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and runs[-1][1] == index:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs


def convert_cumulative_sum(node: Node, build: Builder) -> None:
    """CumSum along a constant axis → CumulativeSum; from the end → between two Flips."""
    axis = build.constant(node.inputs[1])
    if axis is None:
        raise node.unsupported("should be constant", "axis")
    if node.attribute("exclusive", 0):
        raise node.unsupported("ncnn adds each value to its own sum", "exclusive")
    place = build.positive_axis(node, node.inputs[0], int(axis.reshape(-1)[0]))
    blob, held, shape = build.blob_around(node, node.inputs[0], place)
    if not node.attribute("reverse", 0):
        build.add("CumulativeSum", node, [blob], shapes=[shape], axis=held)
        return
    flipped = build.add_hidden("Flip", node, [blob], shape, axes=(held,))
    summed = build.add_hidden("CumulativeSum", node, [flipped], shape, axis=held)
    build.add("Flip", node, [summed], shapes=[shape], axes=(held,))


def convert_tile(node: Node, build: Builder) -> None:
    """Tile → Concats of the same blob, one for each repeated axis."""
    repeats = integers(node, build, 1, "repeats")
    if repeats is None or 0 in repeats:
        raise node.unsupported("its repeats should be constants, 1 or more", "repeats")
    build.see(node.outputs[0], tiled(node, build, build.view(node, node.inputs[0]), repeats))


def tiled(node: Node, build: Builder, view: View, repeats: Sequence[int]) -> View:
    """Repeat a view's axes so many times, each by a Concat of the same blob; returns the view of the result."""
    for axis, count in enumerate(repeats):
        if count > 1:
            shape = view.shape
            around = (math.prod(shape[:axis]), math.prod(shape[axis:]))
            blob = build.move(view, around, f"{node.name}_input")
            wide = (around[0], around[1] * count)
            joined = build.add_hidden("Concat", node, [blob] * count, wide, axis=1)
            view = View.of(joined, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :]))
    return view


def integers(node: Node, build: Builder, index: int, name: str) -> list[int] | None:
    """Return the integers that an opset gives as an input, and an older one as an attribute."""
    values: Array | list[int] | None = node.attribute(name)
    if node.has_input(index):
        values = build.constant(node.inputs[index])
        if values is None:
            raise node.unsupported("should be constant", name)
    return None if values is None else [int(value) for value in values]
