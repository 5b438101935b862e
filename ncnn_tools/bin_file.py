"""Read and write .bin: the weights of an ncnn model, back to back in layer order (src/modelbin.cpp)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ncnn_tools.errors import FormatError, GraphError
from ncnn_tools.graph import Graph, Storage, Weight
from ncnn_tools.schema import LAYERS, WeightSpec

_TAG_BYTES = 4
_CODEBOOK_SIZE = 256
_DTYPES: dict[Storage, np.dtype[Any]] = {
    Storage.RAW: np.dtype("<f4"),
    Storage.FP32: np.dtype("<f4"),
    Storage.FP32_SCALED: np.dtype("<f4"),
    Storage.FP16: np.dtype("<f2"),
    Storage.BF16: np.dtype("<u2"),
    Storage.INT8: np.dtype("i1"),
    Storage.CODEBOOK: np.dtype("u1"),
}
_BY_TAG = {storage.value: storage for storage in Storage if storage not in (Storage.RAW, Storage.CODEBOOK)}
_BLOCK_QUANTIZED = 400  # int8_scale_term from here on: packed 4-, 6- or 8-bit blocks (src/layer/gemm.cpp)


class _Reader:
    def __init__(self, data: bytes, path: Path | None) -> None:
        self.data = data
        self.path = path
        self.offset = 0

    def take(self, count: int, dtype: np.dtype[Any], what: str) -> npt.NDArray[Any]:
        size = count * dtype.itemsize
        left = len(self.data) - self.offset
        if size > left:
            raise self.error(f"{what} needs {size} bytes, {left} are left")
        array = np.frombuffer(self.data, dtype, count, self.offset)
        self.offset += size
        return array

    def error(self, message: str) -> FormatError:
        return FormatError(self.path, f"offset {self.offset}", message)


def read_bin(graph: Graph, source: Path | bytes) -> None:
    """Fill a graph (from `read_param`) with its weights. Layers of unknown types are taken to have none.

    Raises FormatError, naming the offset, where the file is shorter or longer than the layers need.
    """
    path = source if isinstance(source, Path) else None
    reader = _Reader(source.read_bytes() if isinstance(source, Path) else source, path)
    for layer in graph.layers:
        if layer.type not in LAYERS:
            continue
        try:
            specs = layer.weight_specs()
            scale_term = layer.integer("int8_scale_term") if "int8_scale_term" in layer.schema.params else 0
        except (GraphError, KeyError) as error:
            raise reader.error(f"layer {layer.name!r}: its parameters make no sense: {error}") from None
        if scale_term >= _BLOCK_QUANTIZED:
            raise reader.error(f"layer {layer.name!r}: block-quantized weights are not supported")
        for spec in specs:
            layer.weights[spec.name] = _read_weight(
                reader, spec, f"layer {layer.name!r}: weight {spec.name!r}"
            )
    if reader.offset != len(reader.data):
        raise reader.error(f"{len(reader.data) - reader.offset} bytes are left after the last layer")


def _read_weight(reader: _Reader, spec: WeightSpec, what: str) -> Weight:
    if spec.size < 0:
        raise reader.error(f"{what} can't have {spec.size} values")
    if not spec.tagged:
        return Weight(reader.take(spec.size, _DTYPES[Storage.RAW], what), Storage.RAW)
    tag = int(reader.take(1, np.dtype("<u4"), f"the tag of {what}")[0])
    storage = _BY_TAG.get(tag, Storage.CODEBOOK)
    codebook = None
    if storage is Storage.CODEBOOK:
        codebook = reader.take(_CODEBOOK_SIZE, np.dtype("<f4"), f"the codebook of {what}")
    data = reader.take(spec.size, _DTYPES[storage], what)
    reader.take(-data.nbytes % 4, np.dtype("u1"), f"the padding of {what}")
    return Weight(data, storage, codebook, tag if storage is Storage.CODEBOOK else None)


def stored_bytes(weight: Weight) -> int:
    """Return how many bytes a weight takes in a .bin: tag, codebook, values and padding."""
    size = weight.data.size * _DTYPES[weight.storage].itemsize
    if weight.storage is Storage.RAW:
        return size
    codebook = 0 if weight.codebook is None else 4 * _CODEBOOK_SIZE
    return _TAG_BYTES + codebook + size + -size % 4


def write_bin(graph: Graph) -> bytes:
    """Return the bytes of a .bin file for a graph; GraphError where a weight does not fit its layer."""
    graph.check()
    parts: list[bytes] = []
    for layer in graph.layers:
        for spec in layer.weight_specs():
            weight = layer.weights[spec.name]
            if (weight.storage is Storage.RAW) == spec.tagged:
                raise GraphError(
                    f"layer {layer.name!r}: weight {spec.name!r} can't be stored as {weight.storage.name}"
                )
            parts += _weight_parts(weight)
    return b"".join(parts)


def _weight_parts(weight: Weight) -> list[bytes]:
    data = np.ascontiguousarray(weight.data, dtype=_DTYPES[weight.storage]).tobytes()
    if weight.storage is Storage.RAW:
        return [data]
    tag = weight.tag if weight.tag is not None else int(weight.storage.value)
    parts = [tag.to_bytes(4, "little")]
    if weight.codebook is not None:
        parts.append(weight.codebook.astype("<f4").tobytes())
    return [*parts, data, b"\0" * (-len(data) % 4)]
