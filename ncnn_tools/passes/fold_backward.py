"""Fold scales and offsets into the layers with weights before them.

BatchNorm, Scale and arithmetic with constants give f·x + g along one axis (see `affine`). Where x comes from a
convolution, a transposed convolution, InnerProduct or Gemm, the same layer with other weights gives f·x + g itself
(see `linear`), and so does a normalization with a factor and an offset of its own along that axis (see
`normalization`). What lies between may be

- a layer that lets the map pass (see `affine_moves`),
- Concat, each of whose inputs takes its own part, and Slice, whose input leaves the other parts as they are,
- an addition: f·(a + b) + g = (f·a + g) + f·b; both sides have to take it,
- a product of two blobs: f·(a·b) = (f·a)·b, elementwise or of matrices; one side takes it.

Each blob on the way changes its meaning, so nobody else may read it. Nothing is added, one layer goes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.affine import Affine, read_affine
from ncnn_tools.passes.affine_moves import through_backwards
from ncnn_tools.passes.linear import can_scale_outputs, fold_after, is_linear, output_axis
from ncnn_tools.passes.normalization import NORMALIZATIONS, fold_after_norm, norm_axis
from ncnn_tools.passes.wiring import Wiring
from ncnn_tools.schema import binary_op


class _Step(NamedTuple):
    """A blob that changes, and the layer with weights that is to give it times f plus g, where it is one's output."""

    blob: str
    layer: Layer | None
    affine: Affine


_Plan = list[_Step]


def fold_into_producers(graph: Graph) -> int:
    """Fold every scale and offset that the layers before it can take into their weights; return how many."""
    folded = 0
    wiring = Wiring(graph)
    for layer in list(graph.layers):
        found = read_affine(graph, layer, wiring.producers)
        if found is None or found.affine.is_identity:
            continue
        plan = _Planner(graph, wiring).plan(found.source, found.affine)
        if plan is None:
            continue
        for step in plan:
            if step.layer is not None:
                (fold_after if is_linear(step.layer) else fold_after_norm)(step.layer, step.affine)
            graph.origins.pop(step.blob, None)
        graph.remove([layer])
        graph.rename_blob(found.source, layer.outputs[0])
        wiring = Wiring(graph)
        folded += 1
    return folded


class _Planner:
    """Finds out who takes an affine map of a blob, without changing anything yet."""

    def __init__(self, graph: Graph, wiring: Wiring) -> None:
        self._graph = graph
        self._wiring = wiring

    def plan(self, blob: str, affine: Affine) -> _Plan | None:
        """Return what has to be done so that `blob` holds affine(what it holds now), or None."""
        if affine.is_identity:
            return []
        if self._wiring.only_reader(blob) is None or blob not in self._graph.shapes:
            return None
        layer = self._wiring.producers[blob]
        if is_linear(layer):
            return self._linear(layer, blob, affine)
        if layer.type in NORMALIZATIONS:
            return self._normalization(layer, blob, affine)
        rest = self._plan_inputs(layer, blob, affine)
        return None if rest is None else [*rest, _Step(blob, None, affine)]

    def _plan_inputs(self, layer: Layer, blob: str, affine: Affine) -> _Plan | None:
        if layer.type == "Concat":
            return self._concat(layer, blob, affine)
        if layer.type == "Slice":
            return self._slice(layer, blob, affine)
        if layer.type == "BinaryOp" and len(layer.inputs) == 2:
            return self._binary(layer, blob, affine)
        if layer.type == "MatMul":
            return self._matmul(layer, affine)
        passed = through_backwards(self._graph, layer, affine)
        return None if passed is None else self.plan(layer.inputs[0], passed)

    def _linear(self, layer: Layer, blob: str, affine: Affine) -> _Plan | None:
        axis = output_axis(self._graph, layer)
        along = None if axis is None else self._along(blob, affine, axis)
        if along is None or not can_scale_outputs(layer, affine):
            return None
        return [_Step(blob, layer, along)]

    def _normalization(self, layer: Layer, blob: str, affine: Affine) -> _Plan | None:
        axis = norm_axis(self._graph, layer)
        along = None if axis is None else self._along(blob, affine, axis)
        if along is None or (layer.type == "RMSNorm" and not affine.is_scale):
            return None
        return [_Step(blob, layer, along)]

    def _along(self, blob: str, affine: Affine, axis: int) -> Affine | None:
        return affine.along(axis, self._graph.shapes[blob][axis])

    def _concat(self, layer: Layer, blob: str, affine: Affine) -> _Plan | None:
        axis = layer.get("axis") % len(self._graph.shapes[blob])
        plan: _Plan = []
        start = 0
        for source in layer.inputs:
            if source not in self._graph.shapes:
                return None
            stop = start + self._graph.shapes[source][axis]
            steps = self.plan(source, affine.part(start, stop) if affine.axis == axis else affine)
            if steps is None:
                return None
            plan += steps
            start = stop
        return plan

    def _slice(self, layer: Layer, blob: str, affine: Affine) -> _Plan | None:
        source = layer.inputs[0]
        sizes = [self._graph.shapes.get(output) for output in (source, *layer.outputs)]
        if any(size is None for size in sizes):
            return None
        axis = layer.get("axis") % len(self._graph.shapes[source])
        along = self._along(blob, affine, axis)
        if along is None:
            return None
        whole, start = self._graph.shapes[source][axis], 0
        for output in layer.outputs[: layer.outputs.index(blob)]:
            start += self._graph.shapes[output][axis]
        stop = start + along.factor.size
        factor, offset = np.ones(whole), np.zeros(whole)
        factor[start:stop], offset[start:stop] = along.factor, along.offset
        return self.plan(source, Affine(axis, factor, offset))

    def _binary(self, layer: Layer, blob: str, affine: Affine) -> _Plan | None:
        code = layer.get("op_type")
        sides = list(layer.inputs)
        if any(self._graph.shapes.get(side) != self._graph.shapes[blob] for side in sides):
            return None
        if code in (binary_op.ADD, binary_op.SUB):
            return self._sum(sides, affine, -1.0 if code == binary_op.SUB else 1.0)
        if code == binary_op.MUL and affine.is_scale:
            return self._first(*((side, affine) for side in sides))
        return None

    def _sum(self, sides: list[str], affine: Affine, sign: float) -> _Plan | None:
        """Plan f·(a ± b) + g: both sides are scaled, and one of them takes the offset."""
        scale = affine.without_offset()
        shifted = Affine(affine.axis, affine.factor, sign * affine.offset)
        for maps in ((affine, scale), (scale, shifted)):
            plans = [self.plan(side, part) for side, part in zip(sides, maps, strict=True)]
            if plans[0] is not None and plans[1] is not None:
                return plans[0] + plans[1]
        return None

    def _matmul(self, layer: Layer, affine: Affine) -> _Plan | None:
        """A row's factor goes to the left matrix, a column's to the right one, a common one to either."""
        shapes = [self._graph.shapes.get(side, ()) for side in layer.inputs]
        rank = len(shapes[0])
        if not affine.is_scale or len(layer.inputs) != 2 or rank < 2 or len(shapes[1]) != rank:
            return None
        if affine.axis is None:
            return self._first(*((side, affine) for side in layer.inputs))
        if affine.axis == rank - 2:
            return self.plan(layer.inputs[0], affine)
        if affine.axis == rank - 1:
            axis = rank - 2 if layer.get("trans_b") else rank - 1
            return self.plan(layer.inputs[1], Affine(axis, affine.factor, affine.offset))
        return None

    def _first(self, *choices: tuple[str, Affine]) -> _Plan | None:
        for blob, affine in choices:
            plan = self.plan(blob, affine)
            if plan is not None:
                return plan
        return None
