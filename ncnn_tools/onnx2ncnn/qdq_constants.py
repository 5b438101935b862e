"""The constants of a QDQ model: what its initializers hold, and what stands behind pairs and moves of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ncnn_tools.onnx2ncnn.grids import along_axis, dequantized, quantized
from ncnn_tools.onnx2ncnn.source import Array, Node

_MOVES = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_FOLDED = _MOVES | {"Cast", "Constant"}


class Constants:
    """Values by tensor name, those of initializers read when they are asked for.

    `steps` holds, for what was dequantized and moved since, the step of each value.
    """

    def __init__(self, model: onnx.ModelProto, opset: int) -> None:
        self._opset = opset
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._values: dict[str, Array] = {}
        self.steps: dict[str, Array] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._values or name in self._tensors

    def get(self, name: str) -> Array | None:
        """Return a constant; None for what is none."""
        if name not in self._values and name in self._tensors:
            return numpy_helper.to_array(self._tensors[name])
        return self._values.get(name)

    def define(self, name: str, value: Array) -> None:
        """Add a constant of one's own."""
        self._values[name] = value

    def tensors(self, wanted: Iterable[str]) -> Iterator[onnx.TensorProto]:
        """Yield the constants among the tensors that are wanted, to be a model's initializers."""
        for name in wanted:
            if name in self._values:
                yield numpy_helper.from_array(np.asarray(self._values[name]), name)
            elif name in self._tensors:
                yield self._tensors[name]

    def parameters(self, node: Node) -> tuple[Array | None, Array | None]:
        """Return a pair's scale and zero point, None for one that is not constant; an omitted one is 0."""
        if node.attribute("block_size", 0):
            raise node.unsupported("blocks with a scale each: ncnn has one scale an output", "block_size")
        step = self.get(node.inputs[1])
        if node.has_input(2):
            return step, self.get(node.inputs[2])
        levels = self.get(node.inputs[0]) if node.operator == "DequantizeLinear" else None
        kind = node.attribute("output_dtype", 0) or onnx.TensorProto.UINT8
        dtype = helper.tensor_dtype_to_np_dtype(kind) if levels is None else levels.dtype
        return step, np.zeros((), dtype)

    def quantize(self, node: Node, value: Array) -> None:
        """Note what QuantizeLinear makes of a constant."""
        self._values[node.outputs[0]] = quantized(value, *self._along(node, value))

    def dequantize(self, node: Node, levels: Array) -> None:
        """Note what DequantizeLinear makes of a constant, and its steps."""
        step, zero = self._along(node, levels)
        self._values[node.outputs[0]] = dequantized(levels, step, zero)
        self.steps[node.outputs[0]] = np.broadcast_to(step.astype(np.float32), levels.shape)

    def _along(self, node: Node, value: Array) -> tuple[Array, Array]:
        step, zero = self.parameters(node)
        if step is None or zero is None:
            raise node.unsupported("its scale and zero point should be constants")
        axis = int(node.attribute("axis", 1)) % max(value.ndim, 1)
        return along_axis(step, value.shape, axis), along_axis(zero, value.shape, axis)

    def fold(self, proto: onnx.NodeProto) -> bool:
        """Note what a node that moves a constant (or is one) gives, and its steps; False for any other node."""
        if proto.op_type not in _FOLDED or not all(name in self for name in proto.input):
            return False
        given = {name: self.get(name) for name in proto.input}
        self._values[proto.output[0]] = self._evaluate(proto, given)
        if proto.op_type in _MOVES and proto.input[0] in self.steps:
            steps = np.ascontiguousarray(self.steps[proto.input[0]])
            self.steps[proto.output[0]] = self._evaluate(proto, {**given, proto.input[0]: steps})
        return True

    def _evaluate(self, proto: onnx.NodeProto, given: dict[str, Array | None]) -> Array:
        try:
            (value,) = ReferenceEvaluator(proto, opsets={"": self._opset}).run(None, given)
        except Exception as error:  # the evaluator raises whatever numpy makes of a model's mistakes
            raise Node(proto, self._opset).unsupported(
                f"its constant result can't be computed: {error}"
            ) from None
        return np.asarray(value)
