"""Activations that are spelled out in several layers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import recognize_activations
from ncnn_tools.runtime import Runtime

Make = Callable[..., Graph]
Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]

SHAPE = (3, 8, 9)
ADD, SUB, MUL, DIV, POW = 0, 1, 2, 3, 6
SQUARE = 4


def op(code: int, source: str, other: str | float, target: str) -> Layer:
    if isinstance(other, str):
        return new_layer("BinaryOp", target, [source, other], [target], op_type=code)
    return new_layer("BinaryOp", target, [source], [target], op_type=code, with_scalar=1, b=other)


def one(kind: str, source: str, target: str, **params: Any) -> Layer:
    return new_layer(kind, target, [source], [target], **params)


def graph_of(make_graph: Make, layers: list[Layer], outputs: tuple[str, ...] = ("y",)) -> Graph:
    """Make a graph that begins with a convolution x → a, so that nothing works on the input in place."""
    first = one("ReLU", "x", "a", slope=-1.5)
    graph = make_graph(SHAPE, [first, *layers], outputs)
    graph.shapes = dict.fromkeys(graph.blobs(), SHAPE)
    return graph


def gelu_orders() -> list[list[Layer]]:
    """Spell GELU out as exporters do, and in orders that they might."""
    inner = [
        [op(DIV, "a", math.sqrt(2), "i")],
        [op(MUL, "a", 0.70710677, "i")],
        [op(DIV, "a", 1.4142135, "i")],
    ]
    outer = [
        [op(ADD, "e", 1.0, "p"), op(MUL, "a", "p", "q"), op(MUL, "q", 0.5, "y")],
        [op(MUL, "a", 0.5, "h"), op(ADD, "e", 1.0, "p"), op(MUL, "h", "p", "y")],
        [op(ADD, "e", 1.0, "p"), op(DIV, "p", 2.0, "q"), op(MUL, "q", "a", "y")],
        [op(MUL, "e", 0.5, "p"), op(ADD, "p", 0.5, "q"), op(MUL, "q", "a", "y")],
    ]
    return [[*a, one("Erf", "i", "e"), *b] for a, b in itertools.product(inner, outer)]


def gelu_tanh_orders() -> list[list[Layer]]:
    cubes = [
        [op(POW, "a", 3.0, "c")],
        [op(MUL, "a", "a", "s"), op(MUL, "s", "a", "c")],
        [one("UnaryOp", "a", "s", op_type=SQUARE), op(MUL, "a", "s", "c")],
    ]
    rest = [op(MUL, "c", 0.044715, "k"), op(ADD, "a", "k", "l"), op(MUL, "l", math.sqrt(2 / math.pi), "m")]
    tail = [op(ADD, "t", 1.0, "p"), op(MUL, "a", "p", "q"), op(MUL, "q", 0.5, "y")]
    tanhs = [one("TanH", "m", "t"), one("UnaryOp", "m", "t", op_type=16)]
    return [[*cube, *rest, tanh, *tail] for cube, tanh in itertools.product(cubes, tanhs)]


@pytest.mark.parametrize("layers", gelu_orders())
def test_gelu_by_erf(make_graph: Make, apply_pass: Apply, types: Types, layers: list[Layer]) -> None:
    changed = apply_pass(recognize_activations, graph_of(make_graph, layers), 1)
    assert types(changed) == ["ReLU", "GELU"]
    assert changed.layers[-1].get("fast_gelu") == 0
    assert changed.layers[-1].outputs == ["y"]


@pytest.mark.parametrize("layers", gelu_tanh_orders())
def test_gelu_by_tanh(make_graph: Make, apply_pass: Apply, types: Types, layers: list[Layer]) -> None:
    changed = apply_pass(recognize_activations, graph_of(make_graph, layers), 1)
    assert types(changed) == ["ReLU", "GELU"]
    assert changed.layers[-1].get("fast_gelu") == 1


@pytest.mark.parametrize(
    ("fast", "expected"),
    [
        (0, lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))),
        (1, lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    ],
)
def test_what_gelu_is_in_ncnn(make_graph: Make, fast: int, expected: Callable[[Any], Any]) -> None:
    """Against the definition in float64, over all that matters and beyond."""
    x = np.linspace(-12, 12, 4800, dtype=np.float32).reshape(3, 40, 40)
    graph = make_graph(
        x.shape, [one("ReLU", "x", "a", slope=1.0), one("GELU", "a", "y", fast_gelu=fast)], ["y"]
    )
    actual = Runtime.from_graph(graph).run({"x": x})["y"]
    np.testing.assert_allclose(actual, expected(x.astype(np.float64)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("swapped", [False, True])
def test_swish(make_graph: Make, apply_pass: Apply, types: Types, swapped: bool) -> None:
    product = op(MUL, "s", "a", "y") if swapped else op(MUL, "a", "s", "y")
    graph = graph_of(make_graph, [one("Sigmoid", "a", "s"), product])
    assert types(apply_pass(recognize_activations, graph, 1)) == ["ReLU", "Swish"]


@pytest.mark.parametrize("tanh", [one("TanH", "p", "t"), one("UnaryOp", "p", "t", op_type=16)])
def test_mish(make_graph: Make, apply_pass: Apply, types: Types, tanh: Layer) -> None:
    graph = graph_of(make_graph, [one("Softplus", "a", "p"), tanh, op(MUL, "a", "t", "y")])
    assert types(apply_pass(recognize_activations, graph, 1)) == ["ReLU", "Mish"]


HARD = [
    [one("HardSigmoid", "a", "h", alpha=1 / 6, beta=0.5), op(MUL, "a", "h", "y")],
    [
        op(ADD, "a", 3.0, "s"),
        one("Clip", "s", "c", min=0, max=6),
        op(MUL, "a", "c", "p"),
        op(DIV, "p", 6.0, "y"),
    ],
    [
        op(ADD, "a", 3.0, "s"),
        one("Clip", "s", "c", min=0, max=6),
        op(DIV, "c", 6.0, "p"),
        op(MUL, "p", "a", "y"),
    ],
    [
        op(MUL, "a", 1 / 6, "m"),
        op(ADD, "m", 0.5, "s"),
        one("Clip", "s", "c", min=0, max=1),
        op(MUL, "a", "c", "y"),
    ],
]


@pytest.mark.parametrize("layers", HARD)
def test_hard_swish(make_graph: Make, apply_pass: Apply, types: Types, layers: list[Layer]) -> None:
    changed = apply_pass(recognize_activations, graph_of(make_graph, layers), 1)
    assert types(changed) == ["ReLU", "HardSwish"]
    assert [changed.layers[-1].get(name) for name in ("alpha", "beta")] == pytest.approx([1 / 6, 0.5])


def test_hard_sigmoid(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    layers = [op(ADD, "a", 3.0, "s"), one("Clip", "s", "c", min=0, max=6), op(DIV, "c", 6.0, "y")]
    assert types(apply_pass(recognize_activations, graph_of(make_graph, layers), 1)) == [
        "ReLU",
        "HardSigmoid",
    ]


def test_one_after_the_other(make_graph: Make, apply_pass: Apply, types: Types) -> None:
    layers = [
        one("Sigmoid", "a", "s"),
        op(MUL, "a", "s", "b"),
        one("Sigmoid", "b", "t"),
        op(MUL, "b", "t", "y"),
    ]
    assert types(apply_pass(recognize_activations, graph_of(make_graph, layers), 2)) == [
        "ReLU",
        "Swish",
        "Swish",
    ]


@pytest.mark.parametrize(
    "layers",
    [
        [one("Sigmoid", "a", "s"), op(ADD, "a", "s", "y")],
        [op(MUL, "a", 1.702, "m"), one("Sigmoid", "m", "s"), op(MUL, "a", "s", "y")],
        [op(ADD, "a", 3.0, "s"), one("Clip", "s", "c", min=0, max=6), op(DIV, "c", 5.0, "y")],
        [op(ADD, "a", 3.0, "s"), one("Clip", "s", "c", min=-1, max=6), op(DIV, "c", 6.0, "y")],
        [one("HardSigmoid", "a", "h", alpha=0.2, beta=0.5), op(MUL, "h", "h", "y")],
        [one("HardSigmoid", "a", "y", alpha=0.2, beta=0.5)],
        [op(DIV, "a", 1.414, "i"), one("Erf", "i", "e"), op(ADD, "e", 1.0, "p"), op(MUL, "a", "p", "y")],
    ],
)
def test_something_else_stays(make_graph: Make, apply_pass: Apply, layers: list[Layer]) -> None:
    apply_pass(recognize_activations, graph_of(make_graph, layers), 0)


@pytest.mark.parametrize("outputs", [("y", "s"), ("y", "z")])
def test_a_gate_that_someone_else_needs_stays(
    make_graph: Make, apply_pass: Apply, outputs: tuple[str, ...]
) -> None:
    layers = [one("Sigmoid", "a", "s"), op(MUL, "a", "s", "y")]
    if "z" in outputs:
        layers.append(one("TanH", "s", "z"))
    apply_pass(recognize_activations, graph_of(make_graph, layers, outputs), 0)


def test_a_gate_of_another_shape_stays(make_graph: Make, apply_pass: Apply) -> None:
    """Nothing is recognized where the shapes are not known to be the same."""
    graph = graph_of(make_graph, [one("Sigmoid", "a", "s"), op(MUL, "a", "s", "y")])
    graph.shapes = {}
    apply_pass(recognize_activations, graph, 0)
