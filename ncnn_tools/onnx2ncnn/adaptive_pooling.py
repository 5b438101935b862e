"""Recognize adaptive average pooling where an exporter has spelled it out.

ONNX has no adaptive pooling. To a size that does not divide the map's, torch's exporter writes it as a gathering of
each window's values (GatherND with constant indices), a mask, a long chain of sums and a division. Such a region
takes one feature map and gives one, and all its operators are linear in it; so if it agrees with adaptive pooling
on a random input, it is adaptive pooling (two different linear functions agree on a random point with
probability 0). ncnn's Pooling computes that in one layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ncnn_tools.onnx2ncnn.source import Node, Source

ADAPTIVE_AVERAGE_POOL = "AdaptiveAveragePool"  # no operator of ONNX: what a recognized region is replaced by

# Linear in one operand when all others are constants (Where: when the other branch is 0).
_LINEAR = {
    *("Add", "Sub", "Sum", "Mul", "Div", "Where", "Identity", "Cast", "Expand", "ReduceSum", "ReduceMean"),
    *("Gather", "Slice", "Concat", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten"),
}
_MOST_NODES = 4096  # of a region: 1 + the sum of a window's values, for the largest windows met
_TOLERANCE = 1e-4
_CHANNELS_FIRST, _CHANNELS_LAST = (0, 1, 2, 3), (0, 3, 1, 2)

Float32 = npt.NDArray[np.float32]


def replace_adaptive_pools(source: Source) -> int:
    """Replace each region that is adaptive average pooling by one node in `source.nodes`; return how many."""
    replaced = 0
    for gather in [node for node in source.nodes if node.operator == "GatherND"]:
        if gather not in source.nodes:
            continue  # went with another region
        views = _views_before(source, gather)
        start = views[0].inputs[0] if views else gather.inputs[0]
        if start in source.constants or not _is_map(source, start):
            continue
        replaced += any(
            _replace_if_adaptive(source, start, views, region, order)
            for region in _regions(source, gather)
            for order in (_CHANNELS_FIRST, _CHANNELS_LAST)
        )
    return replaced


def _views_before(source: Source, gather: Node) -> list[Node]:
    """Return the views through which the gathering reads its map; they stay, for others may read them too."""
    producers = {output: node for node in source.nodes for output in node.outputs}
    views: list[Node] = []
    tensor = gather.inputs[0]
    while (node := producers.get(tensor)) is not None and node.operator in ("Transpose", "Reshape"):
        views.insert(0, node)
        tensor = node.inputs[0]
    return views


def _is_map(source: Source, tensor: str) -> bool:
    shape = source.shape(tensor)
    return len(shape) == 4 and shape[0] == 1


def _regions(source: Source, gather: Node) -> Iterator[list[Node]]:
    """Yield the nodes from the gathering to each feature map after it that all of them lead to."""
    readers = _readers(source)
    inside = [gather]
    tensors = set(gather.outputs)
    for node in source.nodes[source.nodes.index(gather) + 1 :]:
        activations = [name for name in node.inputs if name and name not in source.constants]
        if node.operator not in _LINEAR or not activations or not tensors.issuperset(activations):
            continue
        inside.append(node)
        tensors.update(node.outputs)
        if len(inside) > _MOST_NODES:
            return
        if _closes(source, inside, node, readers):
            yield list(inside)


def _readers(source: Source) -> dict[str, list[Node]]:
    readers: dict[str, list[Node]] = {}
    for node in source.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return readers


def _closes(source: Source, inside: list[Node], last: Node, readers: dict[str, list[Node]]) -> bool:
    """Say whether only the last node's result is read outside, and is a feature map."""
    members = {id(node) for node in inside}
    for node in inside:
        if node is last:
            continue
        outputs = [name for name in node.outputs if name]
        if any(name in source.outputs for name in outputs):
            return False
        if any(id(reader) not in members for name in outputs for reader in readers.get(name, [])):
            return False
    return _is_map(source, last.outputs[0])


def _replace_if_adaptive(
    source: Source, start: str, views: list[Node], region: list[Node], order: tuple[int, ...]
) -> bool:
    """Replace a region if it pools the map that `start` is with its axes in `order`."""
    before, after = source.shape(start), source.shape(region[-1].outputs[0])
    if before[order[1]] != after[1]:
        return False
    value = np.random.default_rng(0).standard_normal(before, dtype=np.float32)
    try:
        actual = _evaluate(source, start, [*views, *region], value)
    except Exception:  # the evaluator raises whatever numpy makes of a model's mistakes
        return False
    expected = adaptive_average_pool(value.transpose(order), after[2:])
    if actual.shape != expected.shape or not np.allclose(actual, expected, rtol=0, atol=_TOLERANCE):
        return False
    _replace(source, start, region, order)
    return True


def _evaluate(source: Source, start: str, region: list[Node], value: Float32) -> Float32:
    used = {name for node in region for name in node.inputs if name in source.constants}
    result = region[-1].outputs[0]
    graph = helper.make_graph(
        [node.proto for node in region],
        "region",
        [helper.make_tensor_value_info(start, onnx.TensorProto.FLOAT, value.shape)],
        [helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(source.constants[name]), name) for name in sorted(used)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", source.opset)])
    (output,) = ReferenceEvaluator(model).run(None, {start: value})
    return np.asarray(output, np.float32)


def adaptive_average_pool(value: Float32, sizes: Iterable[int]) -> Float32:
    """Average (1, c, h, w) over windows from floor(i·n/m) to ceil((i+1)·n/m) along each axis (torch's definition)."""
    result = value.astype(np.float64)
    for axis, (size, wanted) in enumerate(zip(value.shape[2:], sizes, strict=True), start=2):
        windows = [slice(i * size // wanted, -(-(i + 1) * size // wanted)) for i in range(wanted)]
        means = [result[(slice(None),) * axis + (window,)].mean(axis) for window in windows]
        result = np.stack(means, axis)
    return result.astype(np.float32)


def _replace(source: Source, start: str, region: list[Node], order: tuple[int, ...]) -> None:
    last = region[-1]
    nodes = []
    if order != _CHANNELS_FIRST:
        channels_first = f"{last.outputs[0]}_channels_first"
        source.hidden[channels_first] = tuple(source.shape(start)[axis] for axis in order)
        view = helper.make_node("Transpose", [start], [channels_first], name=channels_first, perm=order)
        nodes.append(Node(view, source.opset))
        start = channels_first
    pool = Node(
        helper.make_node(ADAPTIVE_AVERAGE_POOL, [start], last.outputs[:1], name=last.name), source.opset
    )
    members = {id(node) for node in region}
    place = source.nodes.index(last)
    source.nodes[place : place + 1] = [*nodes, pool]
    source.nodes = [node for node in source.nodes if id(node) not in members]
