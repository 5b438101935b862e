"""Read a piece of graph that works point by point as a formula of one blob.

Exporters spell an activation out in many orders: 0.5·x·(1 + erf(x/√2)), or x·(0.5·erf(x·0.7071) + 0.5), and so on.
Multiplied out, each is the same sum of terms c·xᵏ·a, where `a` is one or a function of such a sum. That sum is what
is compared here (a `Formula`), so the order in which the layers compute it does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.schema import binary_op

FLOAT_MAX = float(np.finfo(np.float32).max)

# How far a constant may be from the one meant: some exporters write 1.4142 for √2 with float32's seven digits.
_TOLERANCE = 2e-6

# ncnn's BinaryOp and UnaryOp (src/layer/binaryop.h, unaryop.h).
_NEGATE, _SQUARE, _TANH = 1, 4, 16
_FUNCTIONS = {"Sigmoid": "sigmoid", "TanH": "tanh", "Erf": "erf", "Softplus": "softplus"}

POINTWISE = {*_FUNCTIONS, "BinaryOp", "UnaryOp", "Clip", "HardSigmoid"}


class Term(NamedTuple):
    """xᵏ, times a function of a formula where there is one."""

    power: int
    function: str = ""
    argument: tuple[tuple[Term, float], ...] = ()


Formula = Mapping[Term, float]


def constant(value: float) -> Formula:
    """Return the formula of a constant."""
    return {Term(0): value}


X: Formula = {Term(1): 1.0}


def apply(function: str, argument: Formula) -> Formula:
    """Return the formula of a function (a name) of a formula."""
    return {Term(0, function, tuple(sorted(argument.items()))): 1.0}


def plus(a: Formula, b: Formula) -> Formula:
    """Add two formulas."""
    return {term: a.get(term, 0.0) + b.get(term, 0.0) for term in {**a, **b}}


def times(a: Formula, b: Formula) -> Formula | None:
    """Multiply two formulas; None where two functions would meet in one term."""
    result: dict[Term, float] = {}
    for left, one in a.items():
        for right, other in b.items():
            if left.function and right.function:
                return None
            term = left._replace(power=left.power + right.power)
            if right.function:
                term = right._replace(power=left.power + right.power)
            result[term] = result.get(term, 0.0) + one * other
    return result


def clip(argument: Formula, low: float, high: float) -> Formula | None:
    """Return the formula of a clip to [0, high], as high · unit(argument / high); None for other bounds."""
    scaled = times(argument, constant(1 / high)) if low == 0 and 0 < high < FLOAT_MAX else None
    return None if scaled is None else times(apply("unit", scaled), constant(high))


def same(a: Formula, b: Formula) -> bool:
    """Return whether two formulas agree, up to the rounding of their constants."""
    a, b = ({term: value for term, value in formula.items() if value} for formula in (a, b))
    if len(a) != len(b):
        return False
    return all(
        left[:2] == right[:2]
        and abs(a[left] - b[right]) <= _TOLERANCE * abs(b[right])
        and same(dict(left.argument), dict(right.argument))
        for left, right in zip(sorted(a), sorted(b), strict=True)
    )


class FormulaReader:
    """Reads the formula of a blob; `used` collects the layers that it came through."""

    def __init__(self, graph: Graph, producers: Mapping[str, Layer], source: str) -> None:
        """`source` is the blob that stands for x."""
        self._graph = graph
        self._producers = producers
        self._source = source
        self.used: dict[int, Layer] = {}

    def read(self, blob: str) -> Formula | None:
        """Return the formula of a blob, or None where something else than x and constants goes into it."""
        if blob == self._source:
            return X
        layer = self._producers[blob]
        if layer.type == "MemoryData":
            data = layer.weights["data"].values()
            return constant(float(data[0])) if data.size == 1 else None
        if layer.type not in POINTWISE:
            return None
        self.used[id(layer)] = layer
        if layer.type == "BinaryOp":
            return self._binary(layer)
        argument = self.read(layer.inputs[0])
        return None if argument is None else _unary(layer, argument)

    def _binary(self, layer: Layer) -> Formula | None:
        left = self.read(layer.inputs[0])
        scalar = layer.get("with_scalar")
        right = constant(float(layer.get("b"))) if scalar else self.read(layer.inputs[1])
        if left is None or right is None:
            return None
        operation = _BINARY.get(layer.get("op_type"))
        return operation(left, right) if operation else None


def _unary(layer: Layer, argument: Formula) -> Formula | None:
    if layer.type in _FUNCTIONS:
        return apply(_FUNCTIONS[layer.type], argument)
    if layer.type == "Clip":
        return clip(argument, float(layer.get("min")), float(layer.get("max")))
    if layer.type == "HardSigmoid":
        scaled = times(argument, constant(float(layer.get("alpha"))))
        return None if scaled is None else apply("unit", plus(scaled, constant(float(layer.get("beta")))))
    operation = layer.get("op_type")
    if operation == _NEGATE:
        return times(argument, constant(-1.0))
    if operation == _SQUARE:
        return times(argument, argument)
    return apply("tanh", argument) if operation == _TANH else None


def _minus(a: Formula, b: Formula) -> Formula:
    return plus(a, {term: -value for term, value in b.items()})


def _constant_value(formula: Formula) -> float | None:
    return formula[Term(0)] if set(formula) == {Term(0)} else None


def _divide(a: Formula, b: Formula) -> Formula | None:
    divisor = _constant_value(b)
    return times(a, constant(1 / divisor)) if divisor else None


def _power(a: Formula, b: Formula) -> Formula | None:
    exponent = _constant_value(b)
    square = times(a, a) if exponent in (2, 3) else None
    return times(square, a) if square is not None and exponent == 3 else square


_BINARY: Mapping[int, Callable[[Formula, Formula], Formula | None]] = {
    binary_op.ADD: plus,
    binary_op.SUB: _minus,
    binary_op.MUL: times,
    binary_op.DIV: _divide,
    binary_op.POW: _power,
    binary_op.REVERSED_SUB: lambda a, b: _minus(b, a),
}
