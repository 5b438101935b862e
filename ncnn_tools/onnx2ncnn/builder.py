"""Builds the ncnn graph while the operator converters read the ONNX model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.graph import Graph, Layer, new_layer, unique_name
from ncnn_tools.onnx2ncnn.source import Array, Node, Source
from ncnn_tools.param_file import MAX_NAME, can_be_written
from ncnn_tools.schema import ParamValue

Converter = Callable[[Node, "Builder"], None]

# ncnn's Mat has up to four axes (c, d, h, w).
MAX_AXES = 4
_AXIS_NAMES = {1: ("w",), 2: ("h", "w"), 3: ("c", "h", "w"), 4: ("c", "d", "h", "w")}


class Builder:
    """Holds the graph under construction and the names of its blobs."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.graph = Graph()
        self._blob_of: dict[str, str] = {}
        self._blobs: set[str] = set()
        self._layers: set[str] = set()

    # --- reading ---

    def constant(self, tensor: str) -> Array | None:
        """Return a tensor's value if it is constant."""
        return self.source.constants.get(tensor)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return a tensor's ONNX shape, batch included."""
        return self.source.shape(tensor)

    def ncnn_shape(self, node: Node, tensor: str) -> tuple[int, ...]:
        """Return an activation's shape without its batch axis; unsupported where ncnn can't hold it."""
        shape = self.shape(tensor)
        if not shape or shape[0] != 1:
            raise node.unsupported(
                f"tensor {tensor!r} has shape {shape}; its first axis should be a batch of 1"
            )
        if 0 in shape:
            raise node.unsupported(f"tensor {tensor!r} of shape {shape} holds no values")
        if not 1 <= len(shape) - 1 <= MAX_AXES:
            raise node.unsupported(
                f"tensor {tensor!r} has shape {shape}; ncnn holds one to {MAX_AXES} axes and a batch"
            )
        return shape[1:]

    def axis(self, node: Node, tensor: str, axis: int, attribute: str = "axis") -> int:
        """Turn an ONNX axis (batch included, may be negative) into ncnn's (batch left out)."""
        rank = len(self.shape(tensor))
        positive = axis + rank if axis < 0 else axis
        if not 0 < positive < rank:
            raise node.unsupported(
                f"axis {axis} of shape {self.shape(tensor)} is the batch or absent", attribute
            )
        return positive - 1

    # --- writing ---

    def blob(self, node: Node, tensor: str) -> str:
        """Return the blob of a tensor that some layer needs as input; a constant becomes a MemoryData layer."""
        if tensor not in self._blob_of and tensor in self.source.constants:
            value = self.source.constants[tensor]
            self._blob_of[tensor] = self.memory(node, value, tensor)
        return self._blob_of[tensor]

    def memory(self, node: Node, value: Array, name: str) -> str:
        """Add a MemoryData layer for a constant with a batch axis of 1 (or none), and return its blob."""
        shape = value.shape[1:] if value.ndim > 1 and value.shape[0] == 1 else value.shape
        if not 1 <= len(shape) <= MAX_AXES or 0 in shape:
            raise node.unsupported(f"constant {name!r} has shape {value.shape}, which ncnn can't hold")
        layer = self._append("MemoryData", name, [], [_unique(name, self._blobs)], **axis_sizes(shape))
        layer.set_weight("data", np.asarray(value, np.float32))
        return layer.outputs[0]

    def input(self, tensor: str) -> None:
        """Add an Input layer for an input of the model."""
        node = Node(helper.make_node("Input", [], [tensor], name=tensor), self.source.opset)
        if not self.source.is_float(tensor):
            raise node.unsupported("only float32 inputs can be converted")
        shape = self.ncnn_shape(node, tensor)
        self._append("Input", tensor, [], [self._name_blob(tensor)], **axis_sizes(shape))

    def output(self, tensor: str) -> str:
        """Return the blob of an output of the model."""
        if tensor in self.source.constants:
            raise UnsupportedOperatorError(tensor, "output", "it does not depend on the input")
        if tensor in self.source.inputs:
            raise UnsupportedOperatorError(tensor, "output", "it is an input of the model")
        return self._blob_of[tensor]

    def add(self, kind: str, node: Node, inputs: Sequence[str], **params: ParamValue) -> Layer:
        """Add the layer that gives all of a node's outputs. `inputs` are blobs (see `blob`)."""
        _check_values(node, params)
        outputs = [self._name_blob(tensor) for tensor in node.outputs]
        return self._append(kind, node.name, list(inputs), outputs, **params)

    def add_hidden(self, kind: str, node: Node, inputs: Sequence[str], **params: ParamValue) -> Layer:
        """Add a layer whose one output is no ONNX tensor: a step on the way to a node's result."""
        blob = _unique(f"{node.name}_{kind.lower()}", self._blobs)
        return self._append(kind, node.name, list(inputs), [blob], **params)

    def reshape(self, node: Node, blob: str, shape: Sequence[int]) -> str:
        """Add a Reshape to an ncnn shape on the way to a node's result, and return its blob."""
        return self.add_hidden("Reshape", node, [blob], **axis_sizes(shape)).outputs[0]

    def _append(
        self, kind: str, name: str, inputs: list[str], outputs: list[str], **params: ParamValue
    ) -> Layer:
        layer = new_layer(kind, _unique(name, self._layers), inputs, outputs, **params)
        self.graph.layers.append(layer)
        return layer

    def _name_blob(self, tensor: str) -> str:
        blob = _unique(tensor, self._blobs)
        self._blob_of[tensor] = blob
        self.graph.origins[blob] = tensor
        self.graph.shapes[blob] = self.shape(tensor)[1:]
        return blob


def _check_values(node: Node, params: Mapping[str, ParamValue]) -> None:
    for name, value in params.items():
        if isinstance(value, int | float) and not can_be_written(value):
            raise node.unsupported(f"{name} would be {value}, which a .param file can't hold")


def _unique(text: str, taken: set[str]) -> str:
    """Make a name that a .param can hold and that is not taken yet, and take it."""
    name = re.sub(r"[^\w./:-]", "_", text, flags=re.ASCII) or "unnamed"
    if len(name) > MAX_NAME - 16:
        name = f"{name[: MAX_NAME - 32]}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return unique_name(name, taken)


def axis_sizes(shape: Sequence[int]) -> dict[str, ParamValue]:
    """Name the axes of an ncnn shape as Input, Reshape and MemoryData do: (c, d, h, w) from the outside in."""
    return dict(zip(_AXIS_NAMES[len(shape)], map(int, shape), strict=True))


def as_floats(value: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return a constant as contiguous float32."""
    return np.ascontiguousarray(value, dtype=np.float32)
