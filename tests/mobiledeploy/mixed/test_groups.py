"""Which grouped convolutions are taken apart: by prices that are made up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from mobiledeploy.mixed.groups import groups_that_pay
from mobiledeploy.mixed.rewriting import Rewriting
from mobiledeploy.mixed.stock import make_stock, thresholds_behind_moves
from mobiledeploy.mixed.trial import Prices
from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.mixed import Stock
from ncnn_tools.quantization import QuantizeOptions
from ncnn_tools.quantization.layers import is_int8


class Bench:
    """Stands in for a device: a grouped convolution costs 10, a part of one what it is told, anything else 1."""

    def __init__(self, parts: Mapping[str, float], *, timed: bool = True) -> None:
        self.parts = parts
        self.timed = timed
        self.priced: list[dict[str, Graph]] = []

    def prices(self, graphs: Mapping[str, Graph], method: object = None) -> dict[str, Prices]:
        self.priced.append(dict(graphs))
        found = {}
        for name, graph in graphs.items():
            layers = {layer.name: self._price(layer) for layer in graph.layers}
            found[name] = Prices(layers, sum(layers.values()))
        return found

    def _price(self, layer: Layer) -> float:
        whole = next((name for name in self.parts if layer.name.startswith(f"{name}_")), None)
        if whole:
            return self.parts[whole]
        return 10.0 if layer.type == "ConvolutionDepthWise" else 1.0


def grouped(name: str, source: str, groups: int) -> Layer:
    weight = np.random.default_rng(0).normal(0, 0.2, (8, 8 // groups, 1, 1))
    layer = new_layer(
        "ConvolutionDepthWise",
        name,
        [source],
        [name],
        num_output=8,
        group=groups,
        kernel_w=1,
        weight_data_size=weight.size,
    )
    layer.set_weight("weight", weight)
    return layer


@pytest.fixture(scope="module")
def network() -> Graph:
    """x → a (2 groups) → b (4 groups)."""
    layers = [
        new_layer("Input", "x", [], ["x"], w=4, h=4, c=8),
        grouped("a", "x", 2),
        grouped("b", "a", 4),
    ]
    graph = Graph(layers, ["b"])
    graph.shapes = dict.fromkeys(["x", "a", "b"], (8, 4, 4))
    return graph


def chosen(graph: Graph, bench: Bench, thresholds: Mapping[str, float]) -> list[str]:
    def stock_of(rewriting: Rewriting) -> Stock:
        rewritten = rewriting.apply(graph)
        clipped = thresholds_behind_moves(rewritten, thresholds)
        return make_stock(rewritten, clipped, QuantizeOptions(), [{"x": np.ones((8, 4, 4), np.float32)}])

    return groups_that_pay(stock_of(Rewriting()), stock_of, bench, "fp16")  # type: ignore[arg-type]


def test_those_that_are_cheaper_apart(network: Graph) -> None:
    # A Slice, a Concat and the groups: 4 * 2 < 10, 6 * 2 > 10.
    bench = Bench({"a": 2, "b": 2})
    assert chosen(network, bench, {"x": 2.0, "a": 2.0}) == ["a"]
    (priced,) = bench.priced
    assert sum(map(is_int8, priced["apart"].layers)) == 6
    assert not any(map(is_int8, priced["fp16"].layers))


def test_times_have_to_differ_clearly(network: Graph) -> None:
    assert chosen(network, Bench({"a": 2.499, "b": 2}), {"x": 2.0, "a": 2.0}) == []
    assert chosen(network, Bench({"a": 2.499, "b": 2}, timed=False), {"x": 2.0, "a": 2.0}) == ["a"]


def test_one_that_has_no_threshold_stays_whole(network: Graph) -> None:
    assert chosen(network, Bench({"a": 1, "b": 1}), {"a": 2.0}) == ["b"]


def test_without_groups_nothing_is_priced(graph: Graph) -> None:
    bench = Bench({})
    stock = Stock(graph, graph, graph)
    assert groups_that_pay(stock, lambda _: stock, bench, "fp16") == []  # type: ignore[arg-type]
    assert bench.priced == []
