"""Types and shapes of a model's tensors: of the whole model at once, and of single nodes where that is not enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, shape_inference

from ncnn_tools.errors import InvalidModelError

_LARGEST_SHAPE_VALUE = 1024  # values: what may say a shape (Reshape's, a Slice's bounds) has fewer

Types = Mapping[str, onnx.TypeProto]


def infer_model(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """Return the types of a model's tensors; InvalidModelError where it is not valid ONNX."""
    light = _without_weights(model)
    try:
        onnx.checker.check_model(light)
        graph = shape_inference.infer_shapes(light, data_prop=True).graph
    except (onnx.checker.ValidationError, shape_inference.InferenceError, ValueError) as error:
        raise InvalidModelError(f"this is not a valid ONNX model: {error}") from None
    return {info.name: info.type for info in [*graph.value_info, *graph.input, *graph.output]}


def infer_node(
    proto: onnx.NodeProto, opset: int, types: Types, constants: Mapping[str, npt.NDArray[Any]]
) -> dict[str, onnx.TypeProto]:
    """Return the types of a node's outputs, given those of its inputs; none where they can't be inferred.

    With the constants at hand this finds shapes that the inference over the model does not.
    """
    data = {
        name: numpy_helper.from_array(constants[name], name)
        for name in proto.input
        if name in constants and constants[name].size <= _LARGEST_SHAPE_VALUE
    }
    try:
        schema = onnx.defs.get_schema(proto.op_type, opset, "")
        imports = [helper.make_opsetid("", opset)]
        return shape_inference.infer_node_outputs(schema, proto, dict(types), data, opset_imports=imports)
    except (
        *(onnx.defs.SchemaError, onnx.checker.ValidationError, shape_inference.InferenceError),
        *(RuntimeError, KeyError),
    ):
        return {}  # who asks for a shape that is missing is told so


def is_static(kind: onnx.TypeProto | None) -> bool:
    """Say whether every size of a tensor is known."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return False
    return all(axis.HasField("dim_value") for axis in kind.tensor_type.shape.dim)


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose large weights are inputs instead: checking and inference copy a model several times."""
    graph = model.graph
    given = {value.name for value in graph.input}
    small = [tensor for tensor in graph.initializer if math.prod(tensor.dims) <= _LARGEST_SHAPE_VALUE]
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = graph.name
    light.graph.node.extend(graph.node)
    light.graph.output.extend(graph.output)
    light.graph.value_info.extend(graph.value_info)
    light.graph.sparse_initializer.extend(graph.sparse_initializer)
    light.graph.initializer.extend(small)
    light.graph.input.extend(graph.input)
    kept = {tensor.name for tensor in small}
    light.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in graph.initializer
        if tensor.name not in kept | given
    )
    return light
