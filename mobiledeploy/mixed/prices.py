"""What a mix would cost, from what its layers cost in trials.

A layer's price depends on its own choice and on its neighbours': an int8 layer that gets int8, or may hand it on, does
without a conversion (`chained`), and a layer that can't be int8 finds another layout in what int8 layers give it
(`behind`). Both are learned from trials of the whole network in one precision. What remains of the difference between
the sum of such prices and a real mix is found by measuring that mix, layer by layer (`PriceModel.corrected`).
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mobiledeploy.mixed.surroundings import Surroundings, find_surroundings
from mobiledeploy.mixed.trial import Prices
from mobiledeploy.mixed.trials import CHAINED, Trial
from ncnn_tools.graph import Graph
from ncnn_tools.mixed import Choice

Choices = Mapping[str, Choice]


@dataclass(frozen=True)
class PriceModel:
    """Prices of layers, in the unit of the trials.

    Attributes:
        own: of each layer that has a choice, by choice, where nothing is chained.
        fixed: of each other layer, where all before it is float.
        behind: what such a layer costs more where all that it reads from is int8.
        gives, takes: what a layer saves by giving int8, and by taking it.
    """

    surroundings: Surroundings
    own: Mapping[str, Mapping[Choice, float]]
    fixed: Mapping[str, float]
    behind: Mapping[str, float]
    gives: Mapping[str, float]
    takes: Mapping[str, float]

    def layer_prices(self, choices: Choices) -> dict[str, float]:
        """Return the price of each layer in a mix."""
        int8 = {name for name, choice in choices.items() if choice.precision == "int8"}
        chained = {name for name in int8 if self.surroundings.chains(name, int8)}
        prices = {name: self.own[name][choice] for name, choice in choices.items()}
        for name in chained:
            prices[name] -= self.gives.get(name, 0.0)
            for reader in self.surroundings.readers[name] or ():
                prices[reader] -= self.takes.get(reader, 0.0)
        for name, price in self.fixed.items():
            prices[name] = price + self.behind.get(name, 0.0) * self.surroundings.share_behind(name, int8)
        return prices

    def price(self, choices: Choices) -> float:
        """Return what a mix costs as a whole."""
        return sum(self.layer_prices(choices).values())

    def could_gain(self, name: str) -> bool:
        """Say whether int8 could make the network cheaper in a layer, if all its neighbours were int8 too."""
        own = self.own[name]
        floats, int8 = (
            [c for c in own if (c.precision == "int8") == quantized] for quantized in (False, True)
        )
        if not int8:
            return False
        saved = sum(
            max(self.gives.get(giver, 0.0) + sum(self.takes.get(reader, 0.0) for reader in readers), 0.0)
            for giver, readers in self.surroundings.readers.items()
            if readers and (giver == name or name in readers)
        )
        return min(own[c] for c in int8) - saved < min(own[c] for c in floats)

    def corrected(self, choices: Choices, measured: Prices) -> PriceModel:
        """Return the model with what was measured of a mix in the place of what it thought of it."""
        expected = self.layer_prices(choices)
        own = {name: dict(prices) for name, prices in self.own.items()}
        for name, choice in choices.items():
            own[name][choice] += measured.layers[name] - expected[name]
        int8 = {name for name, choice in choices.items() if choice.precision == "int8"}
        behind = dict(self.behind)
        for name in self.fixed:
            if share := self.surroundings.share_behind(name, int8):
                behind[name] = (measured.layers[name] - self.fixed[name]) / share
        return replace(self, own=own, behind=behind)


def price_model(graph: Graph, trials: Mapping[str, Trial], measured: Mapping[str, Prices]) -> PriceModel:
    """Learn prices from the uniform trials of a graph."""
    surroundings = find_surroundings(graph)
    own: dict[str, dict[Choice, list[float]]] = defaultdict(lambda: defaultdict(list))
    fixed: dict[str, dict[bool, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, trial in trials.items():
        if name == CHAINED:
            continue
        is_int8 = any(choice.precision == "int8" for choice in trial.choices.values())
        for layer, price in measured[name].layers.items():
            if layer in trial.choices:
                own[layer][trial.choices[layer]].append(price)
            else:
                fixed[layer][is_int8].append(price)
    medians = {
        layer: {choice: statistics.median(prices) for choice, prices in by_choice.items()}
        for layer, by_choice in own.items()
    }
    base = {layer: statistics.median(prices[False]) for layer, prices in fixed.items()}
    behind = {
        layer: statistics.median(prices[True]) - base[layer]
        for layer, prices in fixed.items()
        if prices[True]
    }
    gives: dict[str, float] = {}
    takes: dict[str, float] = {}
    if CHAINED in trials:
        gives, takes = _savings(surroundings, trials[CHAINED].choices, medians, measured[CHAINED])
    return PriceModel(surroundings, medians, base, behind, gives, takes)


def _savings(
    surroundings: Surroundings, choices: Choices, own: Mapping[str, Mapping[Choice, float]], measured: Prices
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what layers save by giving and by taking int8; of one that does both, in parts as the blobs' sizes are."""
    int8 = {name for name, choice in choices.items() if choice.precision == "int8"}
    giving = {name for name in int8 if surroundings.chains(name, int8)}
    taking = {reader for name in giving for reader in surroundings.readers[name] or ()}
    gives, takes = {}, {}
    for name in giving | taking:
        saved = own[name][choices[name]] - measured.layers[name]
        size_in, size_out = surroundings.sizes[name]
        share = (
            size_out / (size_in + size_out) if name in giving and name in taking else float(name in giving)
        )
        gives[name], takes[name] = saved * share, saved * (1 - share)
    return gives, takes
