"""The multiply-adds of ONNX nodes by the rules of `ncnn_tools.cost`: a node costs what ncnn's layer for it does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import onnx
from onnx import helper

from ncnn_tools.cost import BlobSize, layer_cost
from ncnn_tools.graph import Layer, new_layer

Shape = tuple[int, ...]
Shapes = Sequence[Shape]
Rule = Callable[[onnx.NodeProto, Shapes, Shapes], int]

_RESIZE_TYPES = {"nearest": 1, "linear": 2, "cubic": 3}  # of Interp (src/layer/interp.cpp)
_BIDIRECTIONAL = 2


def node_macs(node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    """Return the multiply-adds of a node; the inputs' shapes include those of constants. None are 0 for other kinds."""
    rule = _RULES.get(node.op_type)
    return rule(node, inputs, outputs) if rule and inputs and outputs else 0


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    value = next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
    return value.decode() if isinstance(value, bytes) else value


def _layer(kind: str, **params: int) -> Layer:
    return new_layer(kind, kind, [], [], **params)


def _macs(layer: Layer, inputs: Shapes, outputs: Shapes) -> int:
    return layer_cost(
        layer, [BlobSize(shape) for shape in inputs], [BlobSize(shape) for shape in outputs]
    ).macs


def _convolution(kind: str) -> Rule:
    def rule(_node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
        data, weight = inputs[:2]
        layer = _layer(kind, weight_data_size=math.prod(weight))
        return data[0] * _macs(layer, [data[1:]], [outputs[0][1:]])

    return rule


def _product(node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    if node.op_type == "Gemm":
        return _macs(_layer("Gemm", trans_a=_attribute(node, "transA", 0)), inputs[:2], outputs)
    return _macs(_layer("MatMul"), inputs, outputs)


def _recurrent(node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    steps, (directions, _, hidden) = (
        inputs[0],
        inputs[2],
    )  # (steps, batch, features), R: (directions, rows, hidden)
    direction = _BIDIRECTIONAL if directions == _BIDIRECTIONAL else 0
    size = math.prod(inputs[1])
    layer = _layer(node.op_type, num_output=hidden, weight_data_size=size, direction=direction)
    return steps[1] * _macs(layer, [steps], outputs)


def _plain(kind: str, **params: int) -> Rule:
    def rule(_node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
        return _macs(_layer(kind, **params), inputs, outputs[:1])

    return rule


def _pooling(node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    window = math.prod(_attribute(node, "kernel_shape", [1]))
    return _macs(_layer("Pooling", kernel_w=window, kernel_h=1), inputs, outputs[:1])


def _resize(node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    mode = _RESIZE_TYPES.get(_attribute(node, "mode", "nearest"), 0)
    return _macs(_layer("Interp", resize_type=mode), inputs[:1], outputs)


_RULES: dict[str, Rule] = {
    "Conv": _convolution("Convolution"),
    "ConvTranspose": _convolution("Deconvolution"),
    "Gemm": _product,
    "MatMul": _product,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "BatchNormalization": _plain("BatchNorm"),
    "PRelu": _plain("PReLU"),
    "Softmax": _plain("Softmax"),
    "AveragePool": _pooling,
    "MaxPool": _pooling,
    "Resize": _resize,
    "Upsample": _resize,
    **{name: _plain("BinaryOp") for name in ("Add", "Sub", "Mul", "Div", "Pow")},
    **{name: _plain("Eltwise") for name in ("Max", "Mean", "Min", "Sum")},
    **{f"Global{kind}Pool": _plain("Pooling", global_pooling=1) for kind in ("Average", "Max")},
    **{f"Reduce{kind}": _plain("Reduction") for kind in ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum")},
    **{f"Reduce{kind}": _plain("Reduction") for kind in ("LogSum", "LogSumExp", "SumSquare")},
}
