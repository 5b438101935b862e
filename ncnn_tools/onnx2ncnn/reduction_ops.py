"""Reductions: ReduceMean, ReduceSum and their like, over any axes."""

from __future__ import annotations

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.pooling_ops import add_global_pooling
from ncnn_tools.onnx2ncnn.shape_ops import integers
from ncnn_tools.onnx2ncnn.source import Node
from ncnn_tools.onnx2ncnn.view import MAX_AXES, Shape, ncnn_axis

# ncnn's Reduction (src/layer/reduction.h).
_REDUCTIONS = {
    "ReduceSum": 0,
    "ReduceSumSquare": 2,
    "ReduceMean": 3,
    "ReduceMax": 4,
    "ReduceMin": 5,
    "ReduceProd": 6,
    "ReduceL1": 7,
    "ReduceL2": 8,
    "ReduceLogSum": 9,
    "ReduceLogSumExp": 10,
}
_AS_POOLING = {"ReduceMax": 0, "ReduceMean": 1}
# What a reduction makes of a single value, where it does not leave it as it is: ncnn's UnaryOp (src/layer/unaryop.h).
_OF_ONE_VALUE = {"ReduceSumSquare": 4, "ReduceL1": 0, "ReduceL2": 0, "ReduceLogSum": 8}

REDUCTION_OPERATORS = tuple(_REDUCTIONS)


def convert_reduction(node: Node, build: Builder) -> None:
    """ReduceMean, … → Reduction; mean and maximum of whole maps → Pooling."""
    tensor = node.inputs[0]
    shape = build.shape(tensor)
    if 0 in shape:
        raise node.unsupported(f"tensor {tensor!r} of shape {shape} holds no values")
    if not build.is_float(tensor):
        raise node.unsupported("only floats can be computed with")
    axes = integers(node, build, 1, "axes") or []
    node.attribute("keepdims")  # is in the result's shape
    noop = bool(node.attribute("noop_with_empty_axes", 0))
    if not axes and noop:
        build.see(node.outputs[0], build.view(node, tensor))
        return
    chosen = {build.positive_axis(node, tensor, axis, "axes") for axis in axes or range(len(shape))}
    reduced = {axis for axis in chosen if shape[axis] != 1}
    spatial = set(range(2, len(shape)))
    if (
        node.operator in _AS_POOLING
        and len(shape) == 4
        and shape[0] == 1
        and {2, 3} & chosen == spatial == (chosen - {0})
    ):
        add_global_pooling(node, build, _AS_POOLING[node.operator], shape[1:])
        return
    if reduced:
        _reduce(node, build, shape, reduced)
    elif node.operator in _OF_ONE_VALUE:
        blob = build.blob_in_order(node, tensor)
        build.add(
            "UnaryOp", node, [blob], shapes=[build.graph.shapes[blob]], op_type=_OF_ONE_VALUE[node.operator]
        )
    else:
        build.see(node.outputs[0], build.view(node, tensor).reshaped(build.shape(node.outputs[0])))


def _reduce(node: Node, build: Builder, shape: Shape, reduced: set[int]) -> None:
    """Reduce in the tensor's own shape in ncnn, or in runs of neighbouring axes that are reduced or kept."""
    own = {axis: ncnn_axis(shape, axis) for axis in reduced}
    if None not in own.values():
        sizes = build.ncnn_shape(node, node.inputs[0])
        places = {place for place in own.values() if place is not None}
    else:
        sizes, places = _runs(node, shape, reduced)
    blob = build.blob(node, node.inputs[0], sizes)
    kept = tuple(size for place, size in enumerate(sizes) if place not in places) or (1,)
    params = {"operation": _REDUCTIONS[node.operator], "keepdims": 0, "fixbug0": 1}
    if len(places) == len(sizes):
        build.add("Reduction", node, [blob], shapes=[(1,)], reduce_all=1, **params)
        return
    axes = tuple(sorted(places))
    build.add("Reduction", node, [blob], shapes=[kept], reduce_all=0, axes=axes, **params)


def _runs(node: Node, shape: Shape, reduced: set[int]) -> tuple[Shape, set[int]]:
    sizes: list[int] = []
    places: set[int] = set()
    previous: bool | None = None
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if (axis in reduced) == previous:
            sizes[-1] *= size
        else:
            sizes.append(size)
            previous = axis in reduced
            places |= {len(sizes) - 1} if previous else set()
    if len(sizes) > MAX_AXES:
        raise node.unsupported(f"reduces {shape} along axes that lie too far apart", "axes")
    return tuple(sizes) or (1,), places
