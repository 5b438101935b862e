"""Fold scales and offsets into the linear layers after them.

A convolution or InnerProduct of f·x + g is the same layer of x with other weights (see `linear`, also for what
padding allows). What the layers before could not take (see `fold_backward`), all readers together may take, through

- a layer that lets the map pass (see `affine_moves`), to all readers of what it gives,
- Concat along the same axis, where the other inputs keep what they are, and Slice, each part to its readers,
- a product of two blobs: (f·a)·b = f·(a·b), elementwise.

Every layer on the way is reached once, so that each takes one map, and no blob on the way is an output of the model.
Nothing is added, one layer goes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.affine import Affine, read_affine
from ncnn_tools.passes.affine_moves import through_forwards
from ncnn_tools.passes.linear import can_fold_before, fold_before, is_linear
from ncnn_tools.passes.wiring import Wiring
from ncnn_tools.schema import binary_op


class _Fold(NamedTuple):
    """A linear layer, and the map of its input that it is to take."""

    layer: Layer
    affine: Affine


def fold_into_consumers(graph: Graph) -> int:
    """Fold every scale and offset that all layers after them can take; return how many."""
    folded = 0
    wiring = Wiring(graph)
    for layer in list(graph.layers):
        found = read_affine(graph, layer, wiring.producers)
        if found is None or found.affine.is_identity or layer.outputs[0] in graph.outputs:
            continue
        planner = _Planner(graph, wiring)
        if not planner.plan(layer.outputs[0], found.affine):
            continue
        for fold in planner.folds:
            fold_before(graph, fold.layer, fold.affine)
        for blob in planner.changed:
            graph.origins.pop(blob, None)
        graph.remove([layer])
        graph.redirect(layer.outputs[0], found.source)
        wiring = Wiring(graph)
        folded += 1
    return folded


class _Planner:
    """Finds out whether all that is computed of a blob can take an affine map of it."""

    def __init__(self, graph: Graph, wiring: Wiring) -> None:
        self._graph = graph
        self._wiring = wiring
        self._reached: set[int] = set()
        self.folds: list[_Fold] = []
        self.changed: list[str] = []

    def plan(self, blob: str, affine: Affine) -> bool:
        """Return whether all readers of a blob can compute of x what they compute of affine(x) now."""
        if affine.is_identity:
            return True
        readers = self._wiring.readers.get(blob, [])
        if blob in self._graph.outputs or not readers or blob not in self._graph.shapes:
            return False
        return all(self._reader(layer, blob, affine) for layer in readers)

    def _reader(self, layer: Layer, blob: str, affine: Affine) -> bool:
        if id(layer) in self._reached:
            return False
        self._reached.add(id(layer))
        if is_linear(layer):
            self.folds.append(_Fold(layer, affine))
            return can_fold_before(self._graph, layer, affine)
        if layer.type == "Slice":
            return self._slice(layer, affine)
        if layer.type == "Concat":
            after = self._concat(layer, blob, affine)
        elif layer.type == "BinaryOp":
            after = self._product(layer, blob, affine)
        else:
            after = through_forwards(self._graph, layer, affine)
        return after is not None and self._gives(layer.outputs[0], after)

    def _gives(self, blob: str, affine: Affine) -> bool:
        self.changed.append(blob)
        return self.plan(blob, affine)

    def _slice(self, layer: Layer, affine: Affine) -> bool:
        shapes = [self._graph.shapes.get(blob) for blob in layer.outputs]
        start = 0
        for output, shape in zip(layer.outputs, shapes, strict=True):
            if shape is None:
                return False
            axis = layer.get("axis") % len(shape)
            part = affine.part(start, start + shape[axis]) if affine.axis == axis else affine
            start += shape[axis]
            if not self._gives(output, part):
                return False
        return True

    def _concat(self, layer: Layer, blob: str, affine: Affine) -> Affine | None:
        shape = self._graph.shapes.get(layer.outputs[0])
        sizes = [self._graph.shapes.get(source) for source in layer.inputs]
        if shape is None or layer.inputs.count(blob) > 1:
            return None
        axis = layer.get("axis") % len(shape)
        along = affine.along(axis, self._graph.shapes[blob][axis])
        if along is None:
            return None
        factor, offset, start = np.ones(shape[axis]), np.zeros(shape[axis]), 0
        for source, size in zip(layer.inputs, sizes, strict=True):
            if size is None:
                return None
            if source == blob:
                stop = start + size[axis]
                factor[start:stop], offset[start:stop] = along.factor, along.offset
            start += size[axis]
        return Affine(axis, factor, offset)

    def _product(self, layer: Layer, blob: str, affine: Affine) -> Affine | None:
        same = self._graph.shapes.get(layer.outputs[0]) == self._graph.shapes[blob]
        passes = (
            layer.get("op_type") == binary_op.MUL
            and len(layer.inputs) == 2
            and layer.inputs[0] != layer.inputs[1]
        )
        return affine if same and passes and affine.is_scale else None
