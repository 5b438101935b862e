"""The facts of an ONNX model, node by node as they stand in the file. Its weights are not read, only their sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper, shape_inference

from ncnn_tools.inspect.facts import BlobFacts, LayerFacts, ModelFacts
from ncnn_tools.inspect.onnx_cost import node_macs

OnnxShape = tuple[int | None, ...]

# Constants of these types are shapes, indexes and conditions, and no parameters.
_NO_PARAMETERS = (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING)
_STORED: dict[int, str] = {
    TensorProto.FLOAT: "fp32",
    TensorProto.DOUBLE: "fp64",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "uint8",
}


def inspect_onnx(model: onnx.ModelProto, file_bytes: int) -> ModelFacts:
    """Return the facts of a model whose inputs have static shapes, as far as shapes can be inferred from these."""
    tensors = _Tensors(model)
    layers = tuple(tensors.node(node) for node in model.graph.node)
    unknown = [layer.name for layer in layers if any(not _is_known(blob.shape) for blob in layer.outputs)]
    notes = [*tensors.notes]
    if unknown:
        notes.append(
            f"The shapes of {len(unknown)} nodes, {unknown[0]!r} first, can't be inferred: the model has to be "
            "simplified, as `convert` does."
        )
    return ModelFacts("onnx", layers, file_bytes, None, tuple(notes))


def _is_known(shape: OnnxShape | None) -> bool:
    return shape is not None and None not in shape


class _Tensors:
    """What is known of a model's tensors by name: shapes, types, and the constants that no node has counted yet."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.notes: list[str] = []
        self._uncounted: dict[str, onnx.TensorProto] = {t.name: t for t in model.graph.initializer}
        self._shapes: dict[str, OnnxShape | None] = {}
        self._types: dict[str, int] = {}
        graph = self._inferred(model).graph
        for info in [*graph.value_info, *graph.input, *graph.output]:
            if info.type.HasField("tensor_type"):
                self._shapes[info.name] = _shape(info.type.tensor_type)
                self._types[info.name] = info.type.tensor_type.elem_type
        for name, tensor in self._uncounted.items():
            self._shapes[name], self._types[name] = tuple(tensor.dims), tensor.data_type
        self._constants = set(self._uncounted)

    def _inferred(self, model: onnx.ModelProto) -> onnx.ModelProto:
        try:
            return shape_inference.infer_shapes(model, data_prop=True)
        except (shape_inference.InferenceError, ValueError, RuntimeError) as error:
            self.notes.append(f"Shapes can't be inferred: {str(error).strip().splitlines()[0]}.")
            return model

    def node(self, node: onnx.NodeProto) -> LayerFacts:
        """Return the facts of one node. A constant that several nodes read counts with the first."""
        if node.op_type == "Constant":
            self._constants.update(node.output)
        weights = self._weights(node)
        macs, activation_bytes = self._cost(node)
        stored = {_STORED[t.data_type] for t in weights if t.data_type in _STORED}
        return LayerFacts(
            name=node.name or (node.output[0] if node.output else node.op_type),
            type=node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}",
            inputs=tuple(self._facts(name) for name in node.input if name and name not in self._constants),
            outputs=tuple(self._facts(name) for name in node.output if name),
            parameters=sum(math.prod(t.dims) for t in weights if t.data_type not in _NO_PARAMETERS),
            weight_bytes=sum(_bytes(tuple(t.dims), t.data_type) or 0 for t in weights),
            macs=macs,
            activation_bytes=activation_bytes,
            stored="+".join(sorted(stored)) or None,
        )

    def _weights(self, node: onnx.NodeProto) -> list[onnx.TensorProto]:
        if node.op_type == "Constant":
            return [attribute.t for attribute in node.attribute if attribute.HasField("t")]
        return [self._uncounted.pop(name) for name in node.input if name in self._uncounted]

    def _facts(self, name: str) -> BlobFacts:
        return BlobFacts(name, self._shapes.get(name))

    def _cost(self, node: onnx.NodeProto) -> tuple[int | None, int | None]:
        inputs, outputs = [name for name in node.input if name], [name for name in node.output if name]
        if node.op_type in ("Constant", "Shape"):  # which move nothing
            return 0, 0
        shapes: dict[str, tuple[int, ...]] = {}
        for name in (*inputs, *outputs):
            shape = self._shapes.get(name)
            if shape is None or None in shape:
                return None, None
            shapes[name] = tuple(size or 0 for size in shape)
        return self._macs(node, inputs, outputs, shapes), self._activation_bytes([*inputs, *outputs], shapes)

    def _macs(
        self,
        node: onnx.NodeProto,
        inputs: list[str],
        outputs: list[str],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> int | None:
        if node.domain not in ("", "ai.onnx"):
            return None
        try:
            return node_macs(node, [shapes[name] for name in inputs], [shapes[name] for name in outputs])
        except (
            IndexError,
            ValueError,
            TypeError,
            ZeroDivisionError,
        ):  # a node that breaks its operator's rules
            return None

    def _activation_bytes(self, names: list[str], shapes: Mapping[str, tuple[int, ...]]) -> int | None:
        total = 0
        for name in names:
            if name not in self._constants:
                size = _bytes(shapes[name], self._types.get(name, TensorProto.FLOAT))
                if size is None:
                    return None
                total += size
        return total


def _shape(tensor: onnx.TypeProto.Tensor) -> OnnxShape | None:
    if not tensor.HasField("shape"):
        return None
    return tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim)


def _bytes(shape: tuple[int, ...], kind: int) -> int | None:
    """Return how many bytes a tensor's values take; None for strings and types that are not known."""
    try:
        return math.prod(shape) * int(helper.tensor_dtype_to_np_dtype(kind).itemsize)
    except (KeyError, TypeError, ValueError):
        return None
