"""`choose_widths`: which channels to pad, and how far, by what layers cost on the device at hand.

Whole graphs are priced, layer by layer: as they are, with all groups padded alike, then those that look best by the
prices of layers seen so far. A graph priced is never a guess, so the best of them is what it seems. Where nothing
is better by prices that are all known, or as many graphs were priced as may be, the search ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ncnn_tools.graph import Graph
from ncnn_tools.packing.apply import pad_channels
from ncnn_tools.packing.layout import MULTIPLES, Layout, Widths
from ncnn_tools.packing.prices import LayerPrices

# What every layer of each graph costs, by its name, in any unit (milliseconds, instructions).
Price = Callable[[Sequence[Graph]], Sequence[Mapping[str, float]]]

MOST_GRAPHS = 40
_OPTIMISM = (
    1.0,
    0.7,
    0.4,
)  # those below 1 make widths look good that nothing is known of, so that they are tried
_SWEEPS = 10


@dataclass(frozen=True)
class ChosenWidths:
    """The widths that `pad_channels` takes, what the graph costs with them and without, and how many were priced."""

    widths: Mapping[str, int]
    before: float
    after: float
    graphs: int


@dataclass
class _Search:
    graph: Graph
    price: Price
    layout: Layout
    totals: dict[Widths, float] = field(default_factory=dict)
    prices: LayerPrices | None = None

    def evaluate(self, candidates: Sequence[Widths]) -> None:
        """Price graphs, and learn what their layers cost."""
        graphs = [pad_channels(self.graph, self.layout.named(widths)) for widths in candidates]
        for widths, layers in zip(candidates, self.price(graphs), strict=True):
            self.totals[widths] = sum(layers.values())
            if self.prices is None:
                self.prices = LayerPrices(self.layout, layers, widths)
            else:
                self.prices.learn(layers, widths)

    @property
    def best(self) -> Widths:
        return min(self.totals, key=lambda widths: self.totals[widths])


def choose_widths(graph: Graph, price: Price, most_graphs: int = MOST_GRAPHS) -> ChosenWidths:
    """Return the widths at which a graph with shapes is cheapest, of `most_graphs` that are priced at most.

    `price` gets the graph itself first. Where no padding pays, `widths` is empty.
    """
    layout = Layout(graph)
    search = _Search(graph, price, layout)
    uniform = [layout.plain]
    for multiple in MULTIPLES:
        uniform += [layout.cropped(multiple), layout.filled(multiple)]
    search.evaluate(list(dict.fromkeys(map(layout.settled, uniform)))[:most_graphs])
    while len(search.totals) < most_graphs:
        candidates = _promising(search)[: most_graphs - len(search.totals)]
        if not candidates:
            break
        search.evaluate(candidates)
    best = search.best
    return ChosenWidths(
        layout.named(best), search.totals[layout.plain], search.totals[best], len(search.totals)
    )


def _promising(search: _Search) -> list[Widths]:
    """Return the graphs that look best and were not priced: from the best ones, by small steps downhill."""
    starts = sorted(search.totals, key=lambda widths: search.totals[widths])[:2]
    found = [_descend(search, start, optimism) for optimism in _OPTIMISM for start in starts]
    return [widths for widths in dict.fromkeys(found) if widths not in search.totals]


def _descend(search: _Search, start: Widths, optimism: float) -> Widths:
    """Take every step that makes the graph look cheaper, until none does."""
    steps = _steps(search.layout)
    touched = _touched(search.layout)
    widths = start
    for _ in range(_SWEEPS):
        before = widths
        for step in steps:
            changed = tuple(step.get(number, width) for number, width in enumerate(widths))
            changed = search.layout.settled(changed)
            layers = {index for number in step for index in touched[number]}
            if changed != widths and _cost(search, layers, changed, optimism) < _cost(
                search, layers, widths, optimism
            ):
                widths = changed
        if widths == before:
            break
    return widths


def _cost(search: _Search, layers: set[int], widths: Widths, optimism: float) -> float:
    assert search.prices is not None  # noqa: S101  (the first graphs were priced)
    return sum(search.prices.of(search.layout.layers[index], widths, optimism) for index in layers)


def _touched(layout: Layout) -> dict[int, list[int]]:
    touched: dict[int, list[int]] = {number: [] for number in range(len(layout.groups))}
    for index, layer in enumerate(layout.layers):
        for number in layout.groups_of(layer):
            touched[number].append(index)
    return touched


def _steps(layout: Layout) -> list[dict[int, int]]:
    """Return the steps of a descent: another width for one group, or for all groups of one layer together."""
    steps = [{number: width} for number in range(len(layout.groups)) for width in layout.options(number)]
    uniform = [layout.plain, *(layout.aligned(multiple) for multiple in MULTIPLES)]
    together = dict.fromkeys(tuple(layout.groups_of(layer)) for layer in layout.layers)
    steps += [
        {number: widths[number] for number in numbers}
        for numbers in together
        if len(numbers) > 1
        for widths in uniform
    ]
    return steps
