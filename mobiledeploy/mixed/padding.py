"""Which channels to pad with zeros, by what the device says, before anything is chosen for layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mobiledeploy.mixed.trial import COARSE, TrialBench
from ncnn_tools.graph import Graph
from ncnn_tools.mixed import Choice, Precision, Stock, mix
from ncnn_tools.packing import choose_widths

# How many graphs to price, where they are timed (all groups padded alike, and not padded) and where they are counted.
_MOST_GRAPHS = {True: 5, False: 16}

# What padding has to save where it is timed: the totals of layers' medians are not known better than this.
_LEAST = 0.02


def widths_that_pay(graph: Graph, bench: TrialBench, floats: Precision) -> dict[str, int]:
    """Return the groups of channels that are worth padding on the bench's device, and to how many; often none."""

    # Padding turns winograd on where it was not, for better or worse, and that can be chosen later. Where counts are
    # exact a price is the less of both; where times are not, this would be one more way to be lucky.
    ways = (True,) if bench.timed else (True, False)

    def price(graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        named = {
            f"padding-{number}-{winograd}": _in(Choice(floats, winograd), candidate)
            for number, candidate in enumerate(graphs)
            for winograd in ways
        }
        prices = bench.prices(named, COARSE)
        return [
            _least([prices[f"padding-{number}-{winograd}"].layers for winograd in ways])
            for number in range(len(graphs))
        ]

    chosen = choose_widths(graph, price, _MOST_GRAPHS[bench.timed])
    saved = 1 - chosen.after / chosen.before
    return dict(chosen.widths) if saved > (_LEAST if bench.timed else 0) else {}


def _in(choice: Choice, graph: Graph) -> Graph:
    return mix(Stock(graph, graph, graph), {layer.name: choice for layer in graph.layers})


def _least(prices: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: min(of_way[name] for of_way in prices) for name in prices[0]}
