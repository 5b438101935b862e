"""Builds the ncnn graph while the operator converters read the ONNX model.

Every tensor is a `View` of a blob. Operators that only move values make another view; those that compute ask for
a blob with the values in the tensor's order (`blob`, `blob_in_order`, `blob_around`), which adds layers where the
values have to be moved first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.graph import Graph, Layer, new_layer, unique_name
from ncnn_tools.onnx2ncnn.movement import axis_sizes, merge_axes, plan_movement
from ncnn_tools.onnx2ncnn.source import Array, Node, Source
from ncnn_tools.onnx2ncnn.view import MAX_AXES, Shape, View, ncnn_axis, ncnn_shape
from ncnn_tools.param_file import can_be_written, legal_name
from ncnn_tools.schema import ParamValue

Converter = Callable[[Node, "Builder"], None]


class Builder:
    """Holds the graph under construction, and where each tensor stands in it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.graph = Graph()
        self._views: dict[str, View] = {}
        self._moved: dict[tuple[object, ...], str] = {}
        self._blobs: set[str] = set()
        self._layers: set[str] = set()

    # --- reading ---

    def constant(self, tensor: str) -> Array | None:
        """Return a tensor's value if it is constant."""
        return self.source.constants.get(tensor)

    def shape(self, tensor: str) -> Shape:
        """Return a tensor's ONNX shape, batch included."""
        return self.source.shape(tensor)

    def ncnn_shape(self, node: Node, tensor: str) -> Shape:
        """Return the shape that a tensor has in ncnn (see `view.ncnn_shape`); unsupported where it is empty."""
        shape = self.shape(tensor)
        if 0 in shape:
            raise node.unsupported(f"tensor {tensor!r} of shape {shape} holds no values")
        return ncnn_shape(shape)

    def positive_axis(self, node: Node, tensor: str, axis: int, attribute: str = "axis") -> int:
        """Count an ONNX axis from the front; unsupported where the tensor has no such axis."""
        rank = len(self.shape(tensor))
        if not -rank <= axis < rank:
            raise node.unsupported(f"shape {self.shape(tensor)} has no axis {axis}", attribute)
        return axis % rank

    def view(self, node: Node, tensor: str) -> View:
        """Return where a tensor stands; a constant becomes a MemoryData layer."""
        if tensor not in self._views and tensor in self.source.constants:
            value = self.source.constants[tensor]
            self._views[tensor] = View.of(self.memory(node, value, tensor), value.shape)
        try:
            return self._views[tensor]
        except KeyError:
            raise node.unsupported(
                f"tensor {tensor!r} is no result of a node that can be converted"
            ) from None

    def blob(self, node: Node, tensor: str, shape: Shape | None = None) -> str:
        """Return a blob of the tensor in its shape in ncnn, or in another one that holds as many values."""
        wanted = self.ncnn_shape(node, tensor) if shape is None else shape
        view = self.view(node, tensor)
        if math.prod(view.shape) != math.prod(wanted):
            raise node.unsupported(
                f"tensor {tensor!r} has shape {view.shape}; the model says {self.shape(tensor)}"
            )
        return self.move(view, wanted, tensor)

    def blob_in_order(self, node: Node, tensor: str) -> str:
        """Return a blob of the tensor's values in their order, in whatever shape needs no layer if there is one."""
        view = self.view(node, tensor)
        return view.blob if view.in_order else self.blob(node, tensor)

    def blob_around(self, node: Node, tensor: str, axis: int) -> tuple[str, int, Shape]:
        """Return a blob in which an ONNX axis (not negative) stands by itself, where it stands, and the blob's shape.

        That is the tensor's shape in ncnn, or (outer axes, axis, inner axes) where that merges or drops the axis.
        """
        shape = self.shape(tensor)
        held = ncnn_axis(shape, axis)
        if held is not None:
            return self.blob(node, tensor), held, ncnn_shape(shape)
        around = (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
        return self.blob(node, tensor, around), 1, around

    def is_float(self, tensor: str) -> bool:
        """Say whether a tensor holds floats."""
        value = self.source.constants.get(tensor)
        return self.source.is_float(tensor) if value is None else value.dtype.kind == "f"

    # --- writing ---

    def see(self, tensor: str, view: View) -> None:
        """Note that a tensor is a view of what is there already; adds no layer."""
        self._views[tensor] = view

    def define(self, name: str, value: Array) -> str:
        """Give a name to a constant that a converter made up, so that it can be read like one of the model's."""
        self.source.constants[name] = value
        return name

    def see_hidden(self, name: str, blob: str, shape: Shape) -> None:
        """Give a name to a step on the way to a node's result: a blob whose values are those of an ONNX shape."""
        self.source.hidden[name] = shape
        self._views[name] = View.of(blob, shape)

    def move(self, view: View, shape: Shape, name: str) -> str:
        """Return a blob with a view's values in their order, adding the layers that it takes; `name` is the tensor."""
        key = (view.blob, merge_axes(view.factors, view.order), shape)
        if key not in self._moved:
            blob = view.blob
            steps = plan_movement(self.graph.shapes[blob], view.factors, view.order, shape)
            for step in steps:
                hidden = step is not steps[-1] or view != self._views.get(name)
                target = self._new_blob(f"{name}_{step.kind.lower()}" if hidden else name, step.shape)
                self._append(step.kind, target, [blob], [target], **step.params)
                blob = target
                if not hidden:
                    self.graph.origins[blob] = name
            self._moved[key] = blob
        return self._moved[key]

    def memory(self, node: Node, value: Array, name: str, shape: Shape | None = None) -> str:
        """Add a MemoryData layer for a constant, and return its blob."""
        if value.dtype not in (np.float32, np.float64, np.float16):
            raise node.unsupported(f"constant {name!r} holds {value.dtype}, ncnn computes with floats")
        sizes = ncnn_shape(value.shape) if shape is None else shape
        if 0 in sizes:
            raise node.unsupported(f"constant {name!r} of shape {value.shape} holds no values")
        blob = self._new_blob(name, sizes)
        layer = self._append("MemoryData", name, [], [blob], **axis_sizes(sizes))
        layer.set_weight("data", np.asarray(value, np.float32))
        return blob

    def input(self, tensor: str) -> None:
        """Add an Input layer for an input of the model."""
        node = Node(helper.make_node("Input", [], [tensor], name=tensor), self.source.opset)
        if not self.source.is_float(tensor):
            raise node.unsupported("only float32 inputs can be converted")
        shape = self.ncnn_shape(node, tensor)
        axes = self.shape(tensor)
        if len(axes) - (len(axes) > 1 and axes[0] == 1) > MAX_AXES:
            raise node.unsupported(f"has shape {axes}; ncnn holds one to {MAX_AXES} axes and a batch of 1")
        self._append("Input", tensor, [], [self._name_blob(tensor, shape)], **axis_sizes(shape))

    def output(self, tensor: str) -> str:
        """Return the blob of an output of the model."""
        if tensor in self.source.constants:
            raise UnsupportedOperatorError(tensor, "output", "it does not depend on the input")
        if tensor in self.source.inputs:
            raise UnsupportedOperatorError(tensor, "output", "it is an input of the model")
        node = Node(helper.make_node("Identity", [], [tensor], name=tensor), self.source.opset)
        blob = self.blob(node, tensor)
        if self.graph.origins.get(blob) == tensor:
            return blob
        # It stands under another tensor's name, which may be an output too.
        return self.add("Noop", node, [blob], shapes=[self.graph.shapes[blob]]).outputs[0]

    def add(
        self,
        kind: str,
        node: Node,
        inputs: Sequence[str],
        *,
        shapes: Sequence[Shape] | None = None,
        **params: ParamValue,
    ) -> Layer:
        """Add the layer that gives all of a node's outputs. `inputs` are blobs (see `blob`).

        `shapes` are those of its output blobs, where they are not the tensors' own shapes in ncnn. An output without
        a name is one that the layer gives and the node does not ask for.
        """
        _check_values(node, params)
        sizes = shapes or [self.ncnn_shape(node, tensor) for tensor in node.outputs]
        outputs = [
            self._name_blob(tensor, size) if tensor else self._new_blob(f"{node.name}_unused", size)
            for tensor, size in zip(node.outputs, sizes, strict=True)
        ]
        return self._append(kind, node.name, list(inputs), outputs, **params)

    def add_hidden(
        self, kind: str, node: Node, inputs: Sequence[str], shape: Shape, **params: ParamValue
    ) -> str:
        """Add a layer whose one output is no ONNX tensor, a step on the way to a node's result; returns its blob."""
        _check_values(node, params)
        blob = self._new_blob(f"{node.name}_{kind.lower()}", shape)
        self._append(kind, node.name, list(inputs), [blob], **params)
        return blob

    def _append(
        self, kind: str, name: str, inputs: list[str], outputs: list[str], **params: ParamValue
    ) -> Layer:
        layer = new_layer(kind, unique_name(legal_name(name), self._layers), inputs, outputs, **params)
        self.graph.layers.append(layer)
        return layer

    def _name_blob(self, tensor: str, shape: Shape) -> str:
        blob = self._new_blob(tensor, shape)
        self.graph.origins[blob] = tensor
        self._views[tensor] = View.of(blob, self.shape(tensor))
        return blob

    def _new_blob(self, name: str, shape: Shape) -> str:
        blob = unique_name(legal_name(name), self._blobs)
        self.graph.shapes[blob] = shape
        return blob


def _check_values(node: Node, params: Mapping[str, ParamValue]) -> None:
    for name, value in params.items():
        if isinstance(value, int | float) and not can_be_written(value):
            raise node.unsupported(f"{name} would be {value}, which a .param file can't hold")


def as_floats(value: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return a constant as contiguous float32."""
    return np.ascontiguousarray(value, dtype=np.float32)
