"""Which grouped convolutions to take apart, so that they can be int8, by what the device says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from mobiledeploy.mixed.rewriting import Rewriting
from mobiledeploy.mixed.stock import StockOf, all_in, uniform_int8
from mobiledeploy.mixed.trial import COARSE, Prices, TrialBench
from ncnn_tools.graph import Graph
from ncnn_tools.grouped import grouped_layers, take_groups_apart
from ncnn_tools.mixed import Precision, Stock, mix

# What taking one apart has to save where it is timed, as a share of the whole: medians of layers differ by so much.
_LEAST = 0.002


def groups_that_pay(whole: Stock, stock_of: StockOf, bench: TrialBench, floats: Precision) -> list[str]:
    """Return the names of the grouped convolutions that are faster apart, in int8, than whole, in float; often none.

    `whole` is what mixes are made of with none of them apart. Each is priced with all others apart too.
    """
    names = [layer.name for layer in grouped_layers(whole.float)]
    if not names:
        return []
    _, parts = take_groups_apart(whole.float, names)
    convolutions = {name: set(found[1:-1]) for name, found in parts.items()}
    apart = stock_of(Rewriting(apart=names))
    able = set().union(*convolutions.values())
    int8 = {name: choice for name, choice in uniform_int8(apart).items() if name in able}
    prices = bench.prices(
        {
            floats: mix(whole, all_in(whole, floats)),
            "apart": mix(apart, {**all_in(apart, floats), **int8}),
        },
        COARSE,
    )
    before, after = prices[floats], prices["apart"]
    least = _LEAST * before.whole if bench.timed else 0.0
    return [
        name
        for name in names
        if convolutions[name] <= int8.keys()
        and sum(after.layers[part] for part in parts[name]) + least < before.layers[name]
    ]


def prices_by_parts(prices: Prices, graph: Graph, apart: Collection[str]) -> Prices:
    """Return prices of a graph's layers with those of what is taken apart in equal parts on its convolutions."""
    _, parts = take_groups_apart(graph, apart)
    split = {
        part: prices.layers[name] / len(found[1:-1]) for name, found in parts.items() for part in found[1:-1]
    }
    return replace(prices, layers={**prices.layers, **split})
