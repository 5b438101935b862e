"""Attention spelled out as products and a softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import recognize_attention

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
Filled = Callable[..., Layer]
GraphOf = Callable[..., Graph]

HEADS, QUERIES, KEYS, DEPTH, VALUES = 4, 7, 9, 8, 5


@pytest.fixture(scope="session")
def graph_of(with_shapes: Callable[[Graph], Graph]) -> GraphOf:
    """Make a graph with inputs "q", "k" and "v", each with a TanH before anything else."""

    def make(
        *layers: Layer,
        heads: int | None = HEADS,
        outputs: Sequence[str] = ("y",),
        turned: bool = True,
        shared: bool = False,
    ) -> Graph:
        key = (DEPTH, KEYS) if turned else (KEYS, DEPTH)
        shapes = {"q": (QUERIES, DEPTH), "k": key, "v": (KEYS, VALUES)}
        first: list[Layer] = []
        for name, (height, width) in shapes.items():
            count = 1 if shared and name != "q" else heads
            sizes = {"w": width, "h": height, **({"c": count} if count else {})}
            first.append(new_layer("Input", f"{name}_in", [], [f"{name}_in"], **sizes))
        first += [new_layer("TanH", name, [f"{name}_in"], [name]) for name in shapes]
        return with_shapes(Graph([*first, *layers], list(outputs)))

    return make


def matmul(one: str, other: str, target: str, trans_b: int = 0) -> Layer:
    return new_layer("MatMul", target, [one, other], [target], trans_b=trans_b)


def softmax(source: str, target: str = "p", axis: int = -1) -> Layer:
    return new_layer("Softmax", target, [source], [target], axis=axis, fixbug0=1)


def scalar(code: int, source: str, value: float, target: str) -> Layer:
    return new_layer("BinaryOp", target, [source], [target], op_type=code, with_scalar=1, b=value)


def add(source: str, other: str, target: str) -> Layer:
    return new_layer("BinaryOp", target, [source, other], [target], op_type=0)


def inner(graph: Graph) -> list[str]:
    return [layer.type for layer in graph.layers if layer.type not in ("Input", "TanH")]


@pytest.mark.parametrize("trans_b", [0, 1])
def test_without_scale(graph_of: GraphOf, apply_pass: Apply, trans_b: int) -> None:
    layers = [matmul("q", "k", "s", trans_b), softmax("s"), matmul("p", "v", "y")]
    changed = apply_pass(recognize_attention, graph_of(*layers, turned=not trans_b), 1)
    assert inner(changed) == (["SDPA"] if trans_b else ["Permute", "SDPA"])
    assert changed.layers[-1].get("scale") == 1


@pytest.mark.parametrize(("code", "value"), [(2, 0.35), (3, 2.8)])
def test_a_scale(graph_of: GraphOf, apply_pass: Apply, code: int, value: float) -> None:
    layers = [matmul("q", "k", "s"), scalar(code, "s", value, "t"), softmax("t"), matmul("p", "v", "y")]
    assert inner(apply_pass(recognize_attention, graph_of(*layers), 1)) == ["Permute", "SDPA"]


@pytest.mark.parametrize("heads", [1, HEADS])
@pytest.mark.parametrize("order", ["scale first", "mask first", "two masks"])
def test_masks(graph_of: GraphOf, filled: Filled, apply_pass: Apply, heads: int, order: str) -> None:
    masks = [
        filled(new_layer("MemoryData", name, [], [name], w=KEYS, h=QUERIES, c=count))
        for name, count in (("m", heads), ("n", HEADS))
    ]
    between = {
        "scale first": [scalar(2, "s", 0.5, "t"), add("t", "m", "u")],
        "mask first": [add("m", "s", "t"), scalar(2, "t", 0.5, "u")],
        "two masks": [add("s", "m", "t"), add("n", "t", "u")],
    }[order]
    layers = [*masks, matmul("q", "k", "s"), *between, softmax("u"), matmul("p", "v", "y")]
    changed = apply_pass(recognize_attention, graph_of(*layers), 1)
    assert inner(changed)[-2:] == ["MemoryData", "SDPA"]
    assert changed.layers[-1].get("attn_mask") == 1


def reshape(source: str, target: str, *shape: int) -> Layer:
    sizes = dict(zip({2: "hw", 3: "chw", 4: "cdhw"}[len(shape)], shape, strict=True))
    return new_layer("Reshape", target, [source], [target], **sizes)


@pytest.mark.parametrize("windows", [1, 2, 4])
def test_windows(graph_of: GraphOf, filled: Filled, apply_pass: Apply, windows: int) -> None:
    """A mask for every head of every window, but not one that would have to be repeated."""
    shape = (windows, HEADS // windows, QUERIES, KEYS)
    mask = new_layer("MemoryData", "m", [], ["m"], w=KEYS, h=QUERIES, d=shape[1], c=1)
    layers = [
        filled(mask),
        matmul("q", "k", "s"),
        reshape("s", "r", *shape),
        add("r", "m", "t"),
        softmax("t"),
        reshape("p", "o", HEADS, QUERIES, KEYS),
        matmul("o", "v", "y"),
    ]
    apply_pass(recognize_attention, graph_of(*layers), int(windows in (1, 4)))


def test_a_single_head(graph_of: GraphOf, apply_pass: Apply) -> None:
    layers = [matmul("q", "k", "s"), softmax("s"), matmul("p", "v", "y")]
    changed = apply_pass(recognize_attention, graph_of(*layers, heads=None), 1)
    assert inner(changed) == ["Reshape", "Permute", "Reshape", "Reshape", "SDPA", "Reshape"]


@pytest.mark.parametrize("trans_b", [0, 1])
def test_keys_and_values_for_all_heads(graph_of: GraphOf, apply_pass: Apply, trans_b: int) -> None:
    layers = [matmul("q", "k", "s", trans_b), softmax("s"), matmul("p", "v", "y")]
    graph = graph_of(*layers, turned=not trans_b, shared=True)
    assert inner(apply_pass(recognize_attention, graph, 1))[-1] == "SDPA"


def test_others_stay(graph_of: GraphOf, apply_pass: Apply) -> None:
    first, last = matmul("q", "k", "s"), matmul("p", "v", "y")
    along = new_layer("TanH", "t", ["s"], ["t"])
    refused: list[list[Layer]] = [
        [first, softmax("s", axis=1), last],
        [first, along, softmax("t"), last],
        [first, scalar(2, "s", -1.0, "t"), softmax("t"), last],
        [first, scalar(0, "s", 1.0, "t"), softmax("t"), last],
        [first, softmax("s"), new_layer("TanH", "o", ["p"], ["o"]), matmul("o", "v", "y")],
    ]
    for layers in refused:
        apply_pass(recognize_attention, graph_of(*layers), 0)
    whole = [first, softmax("s"), last]
    for seen in ("s", "p"):
        apply_pass(recognize_attention, graph_of(*whole, outputs=("y", seen)), 0)
