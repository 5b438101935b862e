"""Weights that an ONNX model keeps in files beside it, read into the model.

The files are named by the model, which may come from anywhere: a name may not lead out of the model's folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx

from mobiledeploy.errors import ConversionError


def embed_external_data(model: onnx.ModelProto, path: Path, *, limit: int) -> None:
    """Read into `model` the weights that it keeps in other files, at most `limit` bytes in all.

    Args:
        model: parsed from `path` without its external data; changed in place.
        path: the .onnx file; the files that the model names must lie in its folder or below.
        limit: bytes.

    Raises:
        ConversionError: a file is outside the folder, missing or too short, or the limit is passed.
    """
    total = 0
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = _inside(path, tensor.name, entries.get("location", ""))
        content = _read_slice(path, tensor.name, file, entries, limit - total)
        total += len(content)
        tensor.raw_data = content
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT


def external_files(model: onnx.ModelProto, path: Path) -> set[Path]:
    """Return the files beside `path` in which a model keeps weights. Raises ConversionError as above."""
    return {
        _inside(path, tensor.name, entry.value)
        for tensor in _tensors(model)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _inside(path: Path, tensor: str, location: str) -> Path:
    """Return the file that a tensor's location names, if it is in the model's folder."""
    # Windows' rules too, whatever the system: a location with a drive or backslashes is never legitimate.
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    folder = path.parent.resolve()
    file = (folder / location).resolve()  # follows links, so that a link can't lead outside
    outside = posix.is_absolute() or windows.drive or "\\" in location or not file.is_relative_to(folder)
    if not location or outside:
        raise ConversionError(
            f"{path}: refused, the weights of {tensor!r} are said to be outside its folder ({location!r})"
        )
    if not file.is_file():
        raise ConversionError(
            f"{path}: the weights of {tensor!r} are in {location!r}, which is not there",
            hint="Copy the model together with the files of weights beside it.",
        )
    return file


def _read_slice(path: Path, tensor: str, file: Path, entries: dict[str, str], limit: int) -> bytes:
    size = file.stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size - offset)))
    except ValueError:
        offset = length = -1
    if offset < 0 or length < 0 or offset + length > size:
        raise ConversionError(f"{path}: the weights of {tensor!r} reach beyond the end of {file.name}")
    if length > limit:
        raise ConversionError(f"{path}: its external weights are more than one ONNX file can hold (2 GiB)")
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for graph in (attribute.g, *attribute.graphs):
            yield from _graph_tensors(graph)
