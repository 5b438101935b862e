"""QDQ models: floats with QuantizeLinear and DequantizeLinear between them, which say how it is to be quantized.

`without_pairs` gives the float model that such a model stands for, and for each of its weighted layers that reads a
quantized input with quantized weights the scales of both. So the float model can be simplified and converted like any
other, and int8 be made of it with the scales that it came with (`ncnn_tools.quantization.own_scales`).

- Weights behind DequantizeLinear (and QuantizeLinear before it) become the float constants that they stand for; the
  int32 biases of onnxruntime likewise.
- A pair on an activation goes. Where it may stand for an activation function that the quantizer took out, because
  the pair's range does the same (onnxruntime does so with Relu and Clip, `quantization/operators/activation.py`, for
  ranges that are not symmetric), a Clip to that range takes its place.
- What only moves values, or takes the largest, may stand between the two, or between the pair and its reader.

Refused are the formats that compute with integers: those of QLinearConv, ConvInteger and DynamicQuantizeLinear.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from ncnn_tools.onnx2ncnn.grids import Grid, read_grid
from ncnn_tools.onnx2ncnn.qdq_constants import Constants
from ncnn_tools.onnx2ncnn.source import Node

# onnxruntime has pairs of its own for old opsets and further types; they compute the same.
_PAIRS = {
    (domain, operator)
    for domain in ("", "ai.onnx", "com.microsoft")
    for operator in ("QuantizeLinear", "DequantizeLinear")
}
_QDQ = "onnxruntime: quantize_static with quant_format=QuantFormat.QDQ"
_INTEGER_OPERATORS = {"ConvInteger", "MatMulInteger", "QGemm"}  # and those whose names begin with QLinear

# Each value of the result is one of the (first) input's, so that it stands on the same grid.
_MOVES = {
    *("DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GlobalMaxPool", "Identity", "MaxPool"),
    *("Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
}
# Means and enlargements: never beyond the range of what they read.
_INSIDE = _MOVES | {"AveragePool", "Concat", "GlobalAveragePool", "ReduceMax", "ReduceMean", "Resize"}
_ACTIVATIONS = {
    *("Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Sigmoid"),
    *("Softmax", "Softplus", "Swish", "Tanh"),
}


@dataclass(frozen=True)
class LayerScales:
    """How a QDQ model quantizes one layer: `input` is the grid of its input; `steps` of its weights, one an output."""

    input: Grid
    steps: npt.NDArray[np.float32]


@dataclass(frozen=True)
class FloatModel:
    """A model without pairs.

    `scales` are by the name of the layer's output. `readers` counts the operators (or "output") that read a pair
    which no layer's scales came of.
    """

    model: onnx.ModelProto
    scales: Mapping[str, LayerScales]
    readers: Mapping[str, int]


def is_quantized(model: onnx.ModelProto) -> bool:
    """Say whether a model says how it is to be quantized."""
    return any((node.domain, node.op_type) in _PAIRS for node in model.graph.node)


def without_pairs(model: onnx.ModelProto) -> FloatModel:
    """Return the float model that a QDQ model stands for, and its scales; a model without pairs stays as it is.

    Raises UnsupportedOperatorError for scales that are not constant, for activations with a scale a channel, and for
    the formats that compute with integers.
    """
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    for proto in model.graph.node:
        if proto.op_type == "DynamicQuantizeLinear":
            raise Node(proto, opset).unsupported(
                f"its scales depend on the input, ncnn's are fixed: quantize statically, to the QDQ format ({_QDQ})"
            )
        if proto.op_type in _INTEGER_OPERATORS or proto.op_type.startswith("QLinear"):
            raise _integers(Node(proto, opset))
    if not is_quantized(model):
        return FloatModel(model, {}, {})
    return _Rewriter(model, opset).rewrite()


def _integers(node: Node) -> Exception:
    return node.unsupported(f"computes with integers: quantize to the QDQ format instead ({_QDQ})")


class _Rewriter:
    """Walks over a model once, in order, and writes the nodes of the float model."""

    def __init__(self, model: onnx.ModelProto, opset: int) -> None:
        self._model = model
        self._opset = opset
        self._constants = Constants(model, opset)
        self._grids: dict[str, Grid] = {}  # what stands on a grid, dequantized or not
        self._integers: set[str] = set()  # what is quantized and not dequantized yet
        self._names: dict[str, str] = {}  # what reads a pair's result reads this instead
        self._inputs = {value.name for value in model.graph.input}
        self._outputs = [value.name for value in model.graph.output]
        self._producers = {name: node for node in model.graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._nodes: list[onnx.NodeProto] = []
        self._scales: dict[str, LayerScales] = {}
        self._pairs: list[str] = []  # their results
        self._used: set[str] = set()  # those that gave a layer its input's scale

    def rewrite(self) -> FloatModel:
        for proto in self._model.graph.node:
            node = Node(proto, self._opset)
            if (proto.domain, proto.op_type) not in _PAIRS:
                if not self._constants.fold(proto):
                    self._keep(node)
            elif proto.op_type == "QuantizeLinear":
                self._quantize(node)
            else:
                self._dequantize(node)
        for name in self._outputs:
            if name in self._integers:
                raise Node(self._producers[name], self._opset).unsupported("gives out integers")
            if name in self._names:
                self._nodes.append(helper.make_node("Identity", [self._names[name]], [name], name=name))
        readers: Counter[str] = Counter()
        for pair in self._pairs:
            if pair not in self._used:
                readers.update(reader.op_type for reader in self._readers.get(pair, []))
                readers.update(["output"] if pair in self._outputs else [])
        return FloatModel(self._float_model(), self._scales, dict(readers))

    def _float_model(self) -> onnx.ModelProto:
        """Return the model of the nodes that were kept, with the constants that they read."""
        result = onnx.ModelProto()
        result.CopyFrom(self._model)
        graph = result.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.value_info.extend(
            value
            for value in self._model.graph.value_info
            if value.name not in self._grids and value.name not in self._constants
        )
        read = [name for node in self._nodes for name in node.input]
        graph.initializer.extend(self._constants.tensors(dict.fromkeys([*read, *self._outputs])))
        return result

    # --- pairs ---

    def _quantize(self, node: Node) -> None:
        source, target = node.inputs[0], node.outputs[0]
        value = self._constants.get(source)
        if value is not None:
            self._constants.quantize(node, value)
            return
        if source in self._integers:
            raise node.unsupported("its input is quantized already")
        grid = read_grid(node, *self._constants.parameters(node))
        self._grids[target] = grid
        self._integers.add(target)
        source = self._names.get(source, source)
        self._names[target] = self._clipped(target, source, grid) if self._is_active(node, grid) else source

    def _dequantize(self, node: Node) -> None:
        source, target = node.inputs[0], node.outputs[0]
        levels = self._constants.get(source)
        if levels is not None:
            self._constants.dequantize(node, levels)
            return
        if source not in self._integers:
            raise node.unsupported("it reads integers that no QuantizeLinear gives")
        if read_grid(node, *self._constants.parameters(node)) != self._grids[source]:
            raise node.unsupported("its scale or zero point is another than the QuantizeLinear's before it")
        self._grids[target] = self._grids[source]
        self._names[target] = self._names.get(source, source)
        self._pairs.append(target)

    def _is_active(self, quantize: Node, grid: Grid) -> bool:
        """Say whether a pair's range may stand for an activation function between it and the node before it."""
        producer = self._producers.get(quantize.inputs[0])
        if grid.is_symmetric or producer is None or producer.op_type in _ACTIVATIONS:
            return False
        pairs = self._readers.get(quantize.outputs[0], [])
        readers = [reader for pair in pairs for reader in self._readers.get(pair.output[0], [])]
        if readers and all(reader.op_type in _ACTIVATIONS for reader in readers):
            return False  # it was not taken out
        before = [self._grids[name] for name in producer.input if name in self._grids]
        if producer.op_type in _INSIDE and before:
            return min(other.range[0] for other in before) < grid.range[0] - grid.step / 2
        return True

    def _clipped(self, name: str, source: str, grid: Grid) -> str:
        """Add a Clip to the range of a grid; returns its result."""
        target = f"{name}_clipped"
        low, high = grid.range
        if self._opset < 11:
            clip = helper.make_node("Clip", [source], [target], name=target, min=low, max=high)
        else:
            bounds = [f"{target}_min", f"{target}_max"]
            for bound, value in zip(bounds, (low, high), strict=True):
                self._constants.define(bound, np.array(value, np.float32))
            clip = helper.make_node("Clip", [source, *bounds], [target], name=target)
        self._nodes.append(clip)
        return target

    # --- everything else ---

    def _keep(self, node: Node) -> None:
        """Keep a node, on floats: what was quantized before it comes by its float tensor now."""
        proto = node.proto
        grid = self._kept_grid(node)
        integers = any(name in self._integers for name in proto.input)
        if integers and grid is None:
            raise _integers(node)
        if grid is not None:
            self._grids.update(dict.fromkeys(proto.output, grid))
            self._integers.update(proto.output if integers else [])
        self._note_scales(node)
        twin = onnx.NodeProto.FromString(proto.SerializeToString())
        twin.input[:] = [self._names.get(name, name) for name in proto.input]
        self._nodes.append(twin)

    def _kept_grid(self, node: Node) -> Grid | None:
        """Return the grid that a node's results stand on, which is that of its inputs; None where there is none."""
        inputs = node.inputs[:1] if node.operator in _MOVES else node.inputs
        if node.operator not in _MOVES | {"Concat"} or not all(name in self._grids for name in inputs):
            return None
        first = self._grids[inputs[0]]
        alike = all(
            self._grids[name] == first and (name in self._integers) == (inputs[0] in self._integers)
            for name in inputs
        )
        return first if alike else None

    def _note_scales(self, node: Node) -> None:
        axis = _output_axis(node)
        if axis is None or node.inputs[1] not in self._constants.steps or node.inputs[0] not in self._grids:
            return
        steps = np.moveaxis(self._constants.steps[node.inputs[1]], axis, 0)
        steps = steps.reshape(len(steps), -1)
        if not (steps == steps[:, :1]).all():
            return
        factor = abs(node.attribute("alpha", 1.0)) if node.operator == "Gemm" else 1.0
        ours = (steps[:, 0] * np.float32(factor)).astype(np.float32)
        self._scales[node.outputs[0]] = LayerScales(self._grids[node.inputs[0]], ours)
        self._use(node.inputs[0])

    def _use(self, tensor: str) -> None:
        """Note that the pairs which a tensor comes from gave a layer its input's scale."""
        if tensor in self._pairs:
            self._used.add(tensor)
            return
        for name in self._producers[tensor].input:
            if name in self._grids:
                self._use(name)


def _output_axis(node: Node) -> int | None:
    """Return the axis of a layer's weights that its outputs are on; None for what has no such weights."""
    if node.operator == "Conv":
        return 0
    if node.operator == "Gemm":
        return 0 if node.attribute("transB", 0) else 1
    return -1 if node.operator == "MatMul" else None
