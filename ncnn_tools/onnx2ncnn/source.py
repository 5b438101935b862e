"""An ONNX model as the converter reads it: nodes in order, constants folded, every shape known."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, inliner, numpy_helper
from onnx.reference import ReferenceEvaluator

from ncnn_tools.errors import InvalidModelError, UnsupportedOperatorError
from ncnn_tools.onnx2ncnn.functions import branch, expand
from ncnn_tools.onnx2ncnn.inference import infer_model, infer_node, is_static

Array = npt.NDArray[Any]

# Operators whose result differs from run to run: never a constant, even where all their inputs are.
_RANDOM = {
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
}
_LARGEST_CONSTANT = 2**28  # values: a gigabyte of float32, more than any phone could load


class Node:
    """One ONNX node. It notes which attributes were read, so that none is passed over in silence."""

    def __init__(self, proto: onnx.NodeProto, opset: int, whole: Node | None = None) -> None:
        """Read a node; `whole` is the node that it is part of the definition of (see `functions`)."""
        self.proto = proto
        self.whole = whole
        self.operator = proto.op_type
        self.name = proto.name or (proto.output[0] if proto.output else proto.op_type)
        self.inputs: list[str] = list(proto.input)
        self.outputs: list[str] = list(proto.output)
        self.opset = opset
        self._attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
        self._read: set[str] = set()

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute's value (bytes as str), or the default."""
        self._read.add(name)
        value = self._attributes.get(name, default)
        if isinstance(value, list):
            return [_decoded(item) for item in value]
        return _decoded(value)

    def with_attributes(self, **attributes: Any) -> Node:
        """Return the node with other values for some attributes; what was read of it counts for both."""
        twin = copy.copy(self)
        twin._attributes = {**self._attributes, **attributes}
        return twin

    def has_input(self, index: int) -> bool:
        """Say whether an optional input is given."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def unread(self) -> list[str]:
        """Return the attributes that no converter looked at."""
        return sorted(set(self._attributes) - self._read)

    def unsupported(self, reason: str, attribute: str | None = None) -> UnsupportedOperatorError:
        """Make the error that names this node, its operator and the attribute; or the one that it is part of."""
        if self.whole is not None:
            about = f", attribute {attribute}" if attribute else ""
            return self.whole.unsupported(f"is computed with {self.operator}{about}: {reason}")
        return UnsupportedOperatorError(self.name, self.operator, reason, attribute=attribute)


def _decoded(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


class Source:
    """An ONNX model: graph inputs and outputs, constants by tensor name, shapes by tensor name, nodes in order."""

    def __init__(
        self, model: onnx.ModelProto, known: Callable[[onnx.NodeProto], bool] = lambda _: True
    ) -> None:
        """Read a model; InvalidModelError where it is not valid ONNX.

        Nodes that are not `known` are replaced by ONNX's definition of their operator, where it gives one.
        """
        self._types = infer_model(model)
        if model.functions:
            model = inliner.inline_local_functions(model)
            self._types = infer_model(model)
        opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
        self.opset = opsets[0] if opsets else 1
        self.constants: dict[str, Array] = {tensor.name: _value(tensor) for tensor in model.graph.initializer}
        self._known = known
        self.inputs = [value.name for value in model.graph.input if value.name not in self.constants]
        self.outputs = [value.name for value in model.graph.output]
        self.hidden: dict[str, tuple[int, ...]] = {}  # shapes of tensors that a converter made up
        self.nodes = self._read_nodes(model.graph.node)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return a tensor's static shape; UnsupportedOperatorError where it is not known."""
        if tensor in self.constants:
            return self.constants[tensor].shape
        if tensor in self.hidden:
            return self.hidden[tensor]
        info = self._info(tensor)
        if info is None or not info.HasField("shape"):
            raise UnsupportedOperatorError(
                tensor, "tensor", "its shape can't be inferred: simplify the model first"
            )
        sizes = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in info.shape.dim)
        if any(size < 0 for size in sizes):
            raise UnsupportedOperatorError(
                tensor, "tensor", f"its shape {sizes} is not static: fix the input shape"
            )
        return sizes

    def is_float(self, tensor: str) -> bool:
        """Say whether a tensor that is not constant is float32."""
        info = self._info(tensor)
        return info is None or info.elem_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.UNDEFINED)

    def element_type(self, tensor: str) -> int:
        """Return the ONNX element type of a tensor; UNDEFINED where it is not known."""
        if tensor in self.constants:
            return helper.np_dtype_to_tensor_dtype(self.constants[tensor].dtype)
        info = self._info(tensor)
        return info.elem_type if info else int(onnx.TensorProto.UNDEFINED)

    def _info(self, tensor: str) -> onnx.TypeProto.Tensor | None:
        kind = self._types.get(tensor)
        return None if kind is None else kind.tensor_type

    def _read_nodes(self, protos: Iterable[onnx.NodeProto], whole: Node | None = None) -> list[Node]:
        """Fold constants, infer the shapes that are still missing, and replace operators that are not known."""
        nodes = []
        for proto in protos:
            if proto.domain not in ("", "ai.onnx"):
                raise UnsupportedOperatorError(
                    proto.name, f"{proto.domain}.{proto.op_type}", "not a standard operator"
                )
            node = Node(proto, self.opset, whole)
            values = self._constant_outputs(node)
            if values is not None:
                self.constants.update(zip(proto.output, values, strict=True))
                continue
            types = self._input_types(proto)
            if not all(is_static(self._types.get(name)) for name in proto.output if name):
                self._types.update(infer_node(proto, self.opset, types, self.constants))
            body = self._chosen_branch(proto)
            if not body and not self._known(proto):
                body = expand(proto, self.opset, types)
            nodes += self._read_nodes(body, whole or node) if body else [node]
        return nodes

    def _chosen_branch(self, proto: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes of the branch that an If with a constant condition takes; none for any other node."""
        if proto.op_type != "If" or proto.input[0] not in self.constants:
            return []
        return branch(proto, bool(self.constants[proto.input[0]].all()))

    def _input_types(self, proto: onnx.NodeProto) -> dict[str, onnx.TypeProto]:
        """Return the types of a node's inputs, as far as they are known."""
        types = {name: self._types[name] for name in proto.input if name in self._types}
        for name in proto.input:
            if name in self.constants:
                value = self.constants[name]
                kind = helper.np_dtype_to_tensor_dtype(value.dtype)
                types[name] = helper.make_tensor_type_proto(kind, value.shape)
        return types

    def _constant_outputs(self, node: Node) -> Sequence[Array] | None:
        """Evaluate a node whose result does not depend on the model's inputs; None for any other node."""
        proto = node.proto
        if proto.op_type in ("Shape", "Size") and proto.input[0] not in self.constants:
            shape = self.shape(proto.input[0])
            part = slice(*(node.attribute(name) for name in ("start", "end")))
            return [np.array(shape[part] if proto.op_type == "Shape" else math.prod(shape), np.int64)]
        if proto.op_type == "CastLike" and proto.input[0] in self.constants:
            kind = self.element_type(proto.input[1])  # all that matters of what it is like
            if kind != onnx.TensorProto.UNDEFINED:
                return [self.constants[proto.input[0]].astype(helper.tensor_dtype_to_np_dtype(kind))]
        given = [name for name in proto.input if name]
        has_subgraph = any(attribute.HasField("g") for attribute in proto.attribute)
        if proto.op_type in _RANDOM or has_subgraph or any(name not in self.constants for name in given):
            return None
        if any(self._is_too_large(name) for name in proto.output):
            raise node.unsupported("its constant result is too large")
        try:
            values = ReferenceEvaluator(proto, opsets={"": self.opset}).run(
                None, {name: self.constants[name] for name in given}
            )
        except Exception as error:  # the evaluator raises whatever numpy makes of a model's mistakes
            raise node.unsupported(f"its constant result can't be computed: {error}") from None
        return [np.asarray(value) for value in values]

    def _is_too_large(self, tensor: str) -> bool:
        info = self._info(tensor)
        return info is not None and math.prod(axis.dim_value for axis in info.shape.dim) > _LARGEST_CONSTANT


def _value(tensor: onnx.TensorProto) -> Array:
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise InvalidModelError(f"this is not a valid ONNX model: tensor {tensor.name!r}: {error}") from None
