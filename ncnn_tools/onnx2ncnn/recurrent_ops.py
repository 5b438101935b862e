"""LSTM, GRU and RNN with constant weights → the layer of that name (src/layer/{lstm,gru,rnn}.cpp).

ONNX gives the sequence as (steps, batch, values), the result as (steps, directions, batch, values) and the states as
(directions, batch, values); with `layout` the batch comes first. For a batch of 1 the values stand in the same order
either way: ncnn's sequence is (steps, values), its result (steps, directions · values), its state
(directions, values).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ncnn_tools.onnx2ncnn.builder import Builder, as_floats
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.onnx2ncnn.view import Shape

_DIRECTIONS = {"forward": 0, "reverse": 1, "bidirectional": 2}
_INITIAL_H = 5  # the inputs before it: sequence, weights, recurrent weights, bias, lengths


class _Cell(NamedTuple):
    """How a kind of cell stands in ONNX and in ncnn."""

    gates: tuple[int, ...]  # ONNX's gates in the order of ncnn's rows
    activations: list[str]  # those that ncnn computes with, of one direction
    states: int


_CELLS = {
    "RNN": _Cell((0,), ["tanh"], 1),
    "GRU": _Cell((1, 0, 2), ["sigmoid", "tanh"], 1),  # z, r, h → r, z, h
    "LSTM": _Cell((0, 2, 1, 3), ["sigmoid", "tanh", "tanh"], 2),  # i, o, f, c → i, f, o, c
}


def convert_recurrent(node: Node, build: Builder) -> None:
    """LSTM, GRU, RNN → the layer of that name, with its states as inputs and outputs where they are asked for."""
    cell = _CELLS[node.operator]
    steps, size = _sequence(node, build)
    direction = str(node.attribute("direction", "forward"))
    if direction not in _DIRECTIONS:
        raise node.unsupported(f"there is no direction {direction!r}", "direction")
    directions = 2 if direction == "bidirectional" else 1
    _check_options(node, build, cell, directions, steps)
    weight, recurrent, bias = _weights(node, build, cell)
    if weight.shape[0] != directions or weight.shape[-1] != size:
        raise node.unsupported(f"weights of shape {weight.shape} do not fit {size} values a step")
    hidden = recurrent.shape[-1]
    inputs = [
        build.blob(node, node.inputs[0], (steps, size)),
        *_states(node, build, cell, (directions, hidden)),
    ]
    shapes: list[Shape] = [(steps, directions * hidden)]
    if any(node.outputs[1:]):
        shapes += [(directions, hidden)] * cell.states
    node.outputs = (node.outputs + [""] * cell.states)[: len(shapes)]
    layer = build.add(
        node.operator,
        node,
        inputs,
        shapes=shapes,
        num_output=hidden,
        weight_data_size=int(weight.size),
        direction=_DIRECTIONS[direction],
    )
    layer.set_weight("weight_xc", as_floats(weight))
    layer.set_weight("bias_c", as_floats(bias))
    layer.set_weight("weight_hc", as_floats(recurrent))


def _sequence(node: Node, build: Builder) -> tuple[int, int]:
    """Return the count of steps and of values in each."""
    shape = build.shape(node.inputs[0])
    steps, batch = shape[:2][:: -1 if node.attribute("layout", 0) else 1]
    if batch != 1 or 0 in shape:
        raise node.unsupported(f"sequence of shape {shape} should have a batch of 1")
    return steps, shape[2]


def _check_options(node: Node, build: Builder, cell: _Cell, directions: int, steps: int) -> None:
    node.attribute("hidden_size")  # is in the weights
    given = [name.lower() for name in node.attribute("activations", [])]
    if given and given != cell.activations * directions:
        raise node.unsupported(f"ncnn computes with {', '.join(cell.activations)}", "activations")
    for name in ("activation_alpha", "activation_beta"):
        if node.attribute(name):
            raise node.unsupported("ncnn's activations have no parameters", name)
    for name in ("clip", "input_forget"):
        if node.attribute(name, 0):
            raise node.unsupported("ncnn has no such option", name)
    if node.operator == "GRU" and not node.attribute("linear_before_reset", 0):
        raise node.unsupported(
            "ncnn resets after the product with the recurrent weights, as torch does: it should be 1",
            "linear_before_reset",
        )
    if node.has_input(4):
        lengths = build.constant(node.inputs[4])
        if lengths is None or np.any(lengths != steps):
            raise node.unsupported(f"its length should be the constant {steps}", "sequence_lens")
    if node.has_input(7):
        raise node.unsupported("ncnn has no peepholes", "P")


def _weights(node: Node, build: Builder, cell: _Cell) -> tuple[Array, Array, Array]:
    """Return ncnn's weights (directions, gates, values, inputs), (…, values) and bias (directions, rows, values)."""
    given = [build.constant(tensor) if tensor else None for tensor in node.inputs[1:4]]
    weight, recurrent = given[:2]
    bias = given[2] if len(given) > 2 else None
    if weight is None or recurrent is None or (node.has_input(3) and bias is None):
        raise node.unsupported("its weights and bias should be constants")
    count, hidden = len(cell.gates), recurrent.shape[-1]
    order = list(cell.gates)

    def split(value: Array) -> Array:
        ordered: Array = value.reshape(value.shape[0], count, hidden, -1)[:, order]
        return ordered

    if bias is None:
        bias = np.zeros((weight.shape[0], 2 * count * hidden))
    ours, theirs = (split(part)[..., 0] for part in np.split(bias, 2, axis=1))
    total = ours + theirs
    if node.operator == "GRU":  # the last gate's two are apart: the reset scales what comes from the state
        total = np.concatenate([total[:, :2], ours[:, 2:], theirs[:, 2:]], axis=1)
    return split(weight), split(recurrent), total


def _states(node: Node, build: Builder, cell: _Cell, shape: Shape) -> list[str]:
    """Return the blobs of the initial states, none where all of them are zero."""
    tensors = [
        node.inputs[_INITIAL_H + i] if node.has_input(_INITIAL_H + i) else "" for i in range(cell.states)
    ]
    values = [build.constant(tensor) if tensor else np.zeros(1) for tensor in tensors]
    if not any(value is None or np.any(value) for value in values):
        return []
    blobs = []
    for index, tensor in enumerate(tensors):
        if tensor:
            blobs.append(build.blob(node, tensor, shape))
        else:
            zeros = np.zeros(shape, np.float32)
            blobs.append(build.memory(node, zeros, f"{node.name}_state_{index}", shape))
    return blobs
