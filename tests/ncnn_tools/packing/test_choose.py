"""The choice of widths, for prices that are known for every graph."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.packing import choose_widths, pad_channels
from ncnn_tools.packing.layout import Layout

Make = Callable[..., Any]


def vectors(channels: int, lanes: int) -> float:
    """How many instructions a value of each channel takes: channels that fill no vectors are done one by one."""
    return channels / lanes if channels % lanes == 0 else float(channels)


def price_of(graph: Graph, layer: Layer, lanes: int) -> float:
    blobs = [*layer.inputs, *layer.outputs]
    if layer.type == "Convolution":
        taps = layer.integer("kernel_w") ** 2
        return graph.shapes[blobs[0]][0] * taps * vectors(graph.shapes[blobs[-1]][0], lanes)
    return sum(vectors(graph.shapes[blob][0], lanes) for blob in blobs)


class Prices:
    """Prices graphs, and counts them."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.graphs = 0

    def __call__(self, graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        self.graphs += len(graphs)
        return [
            {layer.name: price_of(graph, layer, self.lanes) for layer in graph.layers} for graph in graphs
        ]

    def total(self, graph: Graph) -> float:
        return sum(price_of(graph, layer, self.lanes) for layer in graph.layers)


def network(build: Any) -> Graph:
    first = build.convolution("x", 6)
    joined = build.concat("x", build.prelu(first))
    deep = build.convolution(build.batch_norm(joined), 7)
    return build.graph(build.convolution(deep, 5, kernel=1))


@pytest.mark.parametrize("lanes", [4, 8])
def test_it_finds_what_trying_all_finds(new_builder: Make, lanes: int) -> None:
    graph = network(new_builder())
    prices = Prices(lanes)
    chosen = choose_widths(graph, prices)
    layout = Layout(graph)
    options = [layout.options(number) for number in range(len(layout.groups))]
    least = min(
        prices.total(pad_channels(graph, layout.named(widths))) for widths in itertools.product(*options)
    )
    assert chosen.before == prices.total(graph)
    assert chosen.after == prices.total(pad_channels(graph, chosen.widths))
    assert chosen.after <= 1.02 * least
    assert chosen.graphs <= 40


def test_nothing_is_padded_where_nothing_pays(new_builder: Make) -> None:
    chosen = choose_widths(network(new_builder()), Prices(1))
    assert chosen.widths == {}
    assert chosen.before == chosen.after


@pytest.mark.parametrize("most", [1, 3, 8])
def test_it_prices_no_more_graphs_than_it_may(new_builder: Make, most: int) -> None:
    prices = Prices(8)
    chosen = choose_widths(network(new_builder()), prices, most)
    assert prices.graphs == chosen.graphs <= most


def test_the_graph_itself_is_priced_first(new_builder: Make) -> None:
    graph = network(new_builder())
    seen: list[Graph] = []
    prices = Prices(8)

    def price(graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        seen.extend(graphs)
        return prices(graphs)

    choose_widths(graph, price)
    assert seen[0] == graph
    assert len({tuple(sorted(each.shapes.items())) for each in seen}) == len(seen)
