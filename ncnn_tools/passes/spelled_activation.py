"""Recognize activations that are spelled out in several layers.

What a chain of pointwise layers computes of one blob is multiplied out (see `elementwise`) and compared with the
definitions of ncnn's activation layers:

- Swish x·σ(x); HardSigmoid clip(αx + β, 0, 1); HardSwish x·clip(αx + β, 0, 1); Mish x·tanh(ln(1 + eˣ));
- GELU ½x(1 + erf(x/√2)) and, with fast_gelu, ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (Hendrycks and Gimpel 2016,
  arXiv:1606.08415).

One layer computes the same function in one pass over memory instead of two to eight. Constants may differ from
those of the definition by rounding (2e-6 of their value), so the result may too. The layers in between go, so
nobody else may read them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes.elementwise import (
    POINTWISE,
    Formula,
    FormulaReader,
    Term,
    X,
    apply,
    constant,
    plus,
    same,
    times,
)
from ncnn_tools.passes.wiring import Wiring
from ncnn_tools.schema import ParamValue

_DEEPEST = 8  # layers from an activation's input to its output; GELU by tanh takes the most
_ROOTS = {"BinaryOp", "Clip"}


def _half_x_times_one_plus(function: str, argument: Formula) -> Formula:
    half = times(plus(constant(0.5), _half(apply(function, argument))), X)
    return half or {}


def _half(formula: Formula) -> Formula:
    return {term: value / 2 for term, value in formula.items()}


def _x_times(formula: Formula) -> Formula:
    return times(formula, X) or {}


_TANH_FACTOR = math.sqrt(2 / math.pi)
_KNOWN: list[tuple[Formula, str, dict[str, ParamValue]]] = [
    (_x_times(apply("sigmoid", X)), "Swish", {}),
    (_x_times(apply("tanh", apply("softplus", X))), "Mish", {}),
    (_half_x_times_one_plus("erf", {Term(1): math.sqrt(0.5)}), "GELU", {}),
    (
        _half_x_times_one_plus("tanh", {Term(1): _TANH_FACTOR, Term(3): 0.044715 * _TANH_FACTOR}),
        "GELU",
        {"fast_gelu": 1},
    ),
]


def recognize_activations(graph: Graph) -> int:
    """Replace Swish, HardSwish, HardSigmoid, GELU and Mish that are spelled out by their layers; return how many."""
    replaced = 0
    for root in reversed(graph.layers):
        if root.type in _ROOTS and _replace(graph, root):
            replaced += 1
    return replaced


def _replace(graph: Graph, root: Layer) -> bool:
    wiring = Wiring(graph)
    if wiring.producers.get(root.outputs[0]) is not root:
        return False  # went with an activation that was found before
    for source in reversed(list(_sources(root, wiring))):
        if graph.shapes.get(source, ()) != graph.shapes.get(root.outputs[0]):
            continue
        reader = FormulaReader(graph, wiring.producers, source)
        formula = reader.read(root.outputs[0])
        found = None if formula is None or len(reader.used) < 2 else _recognize(formula)
        if found and wiring.closed(reader.used.values(), root):
            kind, params = found
            layer = new_layer(kind, root.name, [source], root.outputs, **params)
            graph.replace(root, layer)
            graph.remove(reader.used.values())
            return True
    return False


def _sources(root: Layer, wiring: Wiring) -> Iterator[str]:
    """Yield the blobs that may be an activation's input, the nearest first."""
    level, seen = [root], set(root.outputs)
    for _ in range(_DEEPEST):
        blobs = [blob for layer in level for blob in layer.inputs if blob not in seen]
        seen.update(blobs)
        yield from dict.fromkeys(blobs)
        producers = [wiring.producers[blob] for blob in blobs]
        level = [layer for layer in producers if layer.type in POINTWISE]


def _recognize(formula: Formula) -> tuple[str, dict[str, ParamValue]] | None:
    for known, kind, params in _KNOWN:
        if same(formula, known):
            return kind, params
    for power, kind in ((0, "HardSigmoid"), (1, "HardSwish")):
        line = _clipped_line(formula, power)
        if line:
            return kind, {"alpha": line[0], "beta": line[1]}
    return None


def _clipped_line(formula: Formula, power: int) -> tuple[float, float] | None:
    """Return (α, β) where the formula is xᵖ·clip(αx + β, 0, 1), with a slope that ncnn can divide by."""
    if len(formula) != 1:
        return None
    ((term, factor),) = formula.items()
    argument = dict(term.argument)
    if term[:2] != (power, "unit") or abs(factor - 1) > 2e-6 or not set(argument) <= {Term(0), Term(1)}:
        return None
    slope, offset = argument.get(Term(1), 0.0), argument.get(Term(0), 0.0)
    return (slope, offset) if slope > 1e-6 else None
