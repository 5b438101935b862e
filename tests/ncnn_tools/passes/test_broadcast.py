"""Single pixels that are enlarged for arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import broadcast_single_pixels

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]


def layers(*readers: Layer, pixels: int = 1) -> list[Layer]:
    """Make "s", pooled from "a", and "b", enlarged from it."""
    pool = new_layer("Pooling", "s", ["a"], ["s"], pooling_type=1, adaptive_pooling=1, out_w=pixels)
    enlarged = new_layer("Interp", "b", ["s"], ["b"], resize_type=2, output_width=5, output_height=4)
    return [new_layer("ReLU", "a", ["x"], ["a"], slope=0.5), pool, enlarged, *readers]


def op(code: int, one: str, other: str, target: str = "y") -> Layer:
    return new_layer("BinaryOp", target, [one, other], [target], op_type=code)


@pytest.fixture(scope="session")
def graph_of(make_graph: Callable[..., Graph], with_shapes: Callable[[Graph], Graph]) -> Callable[..., Graph]:
    def make(*given: Layer, outputs: tuple[str, ...] = ("y",)) -> Graph:
        return with_shapes(make_graph((8, 4, 5), given, outputs))

    return make


@pytest.mark.parametrize("code", [0, 1, 2])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_broadcast(
    graph_of: Callable[..., Graph], apply_pass: Apply, types: Types, code: int, order: str
) -> None:
    graph = graph_of(*layers(op(code, *order)))
    assert types(apply_pass(broadcast_single_pixels, graph, 1)) == ["ReLU", "Pooling", "BinaryOp"]


def test_what_needs_the_full_size_stays(graph_of: Callable[..., Graph], apply_pass: Apply) -> None:
    concat = new_layer("Concat", "y", ["a", "b"], ["y"])
    for readers in ([concat], [op(0, "a", "b", "z"), concat], [op(0, "b", "b")], [op(0, "b", "s")]):
        outputs = ("y", "z") if len(readers) == 2 else ("y",)
        apply_pass(broadcast_single_pixels, graph_of(*layers(*readers), outputs=outputs), 0)
    apply_pass(broadcast_single_pixels, graph_of(*layers(op(0, "a", "b")), outputs=("y", "b")), 0)
    apply_pass(broadcast_single_pixels, graph_of(*layers(op(0, "a", "b"), pixels=2)), 0)
