"""Products of the same blob whose results are added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import merge_parallel_products

Apply = Callable[..., Graph]
Types = Callable[[Graph], list[str]]
Filled = Callable[..., Layer]
Product = Callable[..., Layer]


@pytest.fixture(scope="session")
def product(filled: Filled) -> Product:
    def make(
        target: str, kind: str = "InnerProduct", source: str = "x", outputs: int = 6, **more: Any
    ) -> Layer:
        params: dict[str, Any] = {"num_output": outputs, "weight_data_size": 5 * outputs, "bias_term": 1}
        if kind == "Gemm":
            params = {"constant_b": 1, "constant_n": outputs, "constant_k": 5, "trans_b": 1}
        return filled(new_layer(kind, target, [source], [target], **{**params, **more}))

    return make


def add(one: str, other: str, code: int = 0) -> Layer:
    return new_layer("BinaryOp", "y", [one, other], ["y"], op_type=code)


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("kind", ["InnerProduct", "Gemm"])
@pytest.mark.parametrize("bias", [(1, 1), (0, 1), (0, 0)])
def test_merge(
    make_graph: Callable[..., Graph],
    product: Product,
    apply_pass: Apply,
    types: Types,
    code: int,
    kind: str,
    bias: tuple[int, int],
) -> None:
    more: list[dict[str, int]] = [
        {"bias_term": one}
        if kind == "InnerProduct"
        else {"constant_c": one, "constant_broadcast_type_c": 4, "trans_b": one}
        for one in bias
    ]
    layers = [product("a", kind, **more[0]), product("b", kind, **more[1]), add("a", "b", code)]
    graph = make_graph((5,) if kind == "InnerProduct" else (7, 5), layers, ["y"])
    changed = apply_pass(merge_parallel_products, graph, 1)
    assert types(changed) == [kind]


def test_others_stay(make_graph: Callable[..., Graph], product: Product, apply_pass: Apply) -> None:
    relu = new_layer("ReLU", "r", ["x"], ["r"], slope=0.5)
    refused: list[Sequence[Layer]] = [
        [product("a"), product("b", activation_type=1), add("a", "b")],
        [product("a"), relu, product("b", source="r"), add("a", "b")],
        [product("a"), product("b", outputs=1), add("a", "b")],
        [product("a"), product("b"), add("a", "b", code=2)],
        [product("a"), add("a", "a")],
    ]
    for layers in refused:
        apply_pass(merge_parallel_products, make_graph((5,), layers, ["y"]), 0)
    layers = [product("a"), product("b"), add("a", "b")]
    apply_pass(merge_parallel_products, make_graph((5,), layers, ["y", "a"]), 0)
