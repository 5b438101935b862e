"""Models that other converters wrote: read, and brought to the names and the form that this library's own have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ncnn_tools.bin_file import read_bin
from ncnn_tools.errors import GraphError, UnknownLayersError
from ncnn_tools.graph import Graph, Layer, unique_name
from ncnn_tools.onnx2ncnn.movement import axis_sizes
from ncnn_tools.onnx2ncnn.view import ncnn_shape
from ncnn_tools.param_file import legal_name, read_param, unknown_types
from ncnn_tools.passes.split import insert_splits

Shapes = Mapping[str, Sequence[int]]


def load_foreign(param: Path, weights: Path) -> Graph:
    """Read a .param/.bin pair from any converter.

    Raises UnknownLayersError, naming all of them, for layer types that ncnn does not have, and FormatError for
    files that are malformed.
    """
    if unknown := unknown_types(param):
        raise UnknownLayersError(unknown)
    graph = read_param(param)
    read_bin(graph, weights)
    return graph


def adopt(graph: Graph, inputs: Mapping[str, str], outputs: Mapping[str, str], shapes: Shapes) -> None:
    """Give a graph its model's inputs and outputs, in place.

    `inputs` and `outputs` map blobs, in the model's order, to the ONNX tensors that they stand for; `shapes` maps
    these tensors to their ONNX shapes, with a batch of 1. The blobs take the tensors' names, the Input layers
    their order and sizes, and outputs become blobs that no layer consumes. Raises GraphError where `inputs` are
    not the graph's inputs, or an output is given by no layer or is an input.
    """
    if passed_through := set(inputs) & set(outputs):
        raise GraphError(f"its output {min(passed_through)!r} is an input")
    if sorted(graph.inputs) != sorted(inputs):
        raise GraphError(f"its inputs are {', '.join(graph.inputs)}, not {', '.join(inputs)}")
    graph.outputs = list(outputs)
    graph.check()
    _remove_splits(graph)
    names = _rename_blobs(graph, {**inputs, **outputs})
    graph.outputs = [names[blob] for blob in outputs]
    for blob, tensor in (*inputs.items(), *outputs.items()):
        graph.origins[names[blob]] = tensor
        graph.shapes[names[blob]] = ncnn_shape(shapes[tensor])
    _put_inputs_first(graph, [names[blob] for blob in inputs])
    insert_splits(graph)
    graph.check()


def _remove_splits(graph: Graph) -> None:
    """Let the readers of a Split's branches read what it splits; `insert_splits` then puts in those that are needed.

    An output of the model that is a branch becomes the name of what was split, unless that is an input or an
    output itself: then the Split stays.
    """
    for layer in [layer for layer in graph.layers if layer.type == "Split"]:
        source = layer.inputs[0]
        outputs = [blob for blob in layer.outputs if blob in graph.outputs]
        fixed = source in graph.outputs or source in graph.inputs
        if len(outputs) + fixed > 1:
            continue
        graph.remove([layer])
        for branch in layer.outputs:
            graph.redirect(branch, source)
        if outputs:
            graph.rename_blob(source, outputs[0])


def _rename_blobs(graph: Graph, tensors: Mapping[str, str]) -> dict[str, str]:
    """Name some blobs after tensors, and others only where they would have the same name; returns all new names."""
    taken: set[str] = set()
    names = {blob: unique_name(legal_name(tensor), taken) for blob, tensor in tensors.items()}
    names |= {blob: unique_name(blob, taken) for blob in graph.blobs() if blob not in names}
    for layer in graph.layers:
        layer.inputs = _renamed(layer.inputs, names)
        layer.outputs = _renamed(layer.outputs, names)
    return names


def _renamed(blobs: Iterable[str], names: Mapping[str, str]) -> list[str]:
    return [names[blob] for blob in blobs]


def _put_inputs_first(graph: Graph, blobs: Sequence[str]) -> None:
    layers: list[Layer] = [graph.producers()[blob] for blob in blobs]
    graph.remove(layers)
    graph.layers[:0] = layers
    for layer in layers:
        for axis, size in axis_sizes(graph.shapes[layer.outputs[0]]).items():
            layer.set(axis, size)
