"""Prices: a made-up ground truth is found again from trials, and what is measured of a mix is believed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.mixed.prices import PriceModel, price_model
from mobiledeploy.mixed.surroundings import find_surroundings
from mobiledeploy.mixed.trial import Prices
from mobiledeploy.mixed.trials import CHAINED, layers_with_choices, uniform_trials
from ncnn_tools.graph import Graph
from ncnn_tools.mixed import Choice, Stock

PRECISIONS = ["fp32", "int8"]


def truth(graph: Graph, stock: Stock, seed: int = 0) -> PriceModel:
    """Make up prices whose conversions cost what the blobs' sizes say."""
    rng = np.random.default_rng(seed)
    layers = layers_with_choices(stock, PRECISIONS)
    own = {name: {choice: rng.uniform(2, 5) for choice in choices} for name, choices in layers.items()}
    fixed = {layer.name: rng.uniform(0.1, 1) for layer in graph.layers if layer.name not in layers}
    surroundings = find_surroundings(graph)
    before = {name: above for name, above in surroundings.before.items() if above}
    behind = {name: rng.uniform(-0.05, 0.3) for name in before}
    a_value = 0.001
    gives = {name: a_value * surroundings.sizes[name][1] for name in ("stem", "joined")}
    takes = {name: a_value * surroundings.sizes[name][0] for name in ("left", "right", "deep")}
    return PriceModel(surroundings, own, fixed, behind, gives, takes)


def measure(model: PriceModel, choices: Mapping[str, Choice], *, chains: bool = True) -> Prices:
    """Price a graph by the truth."""
    if not chains:
        model = PriceModel(model.surroundings, model.own, model.fixed, model.behind, {}, {})
    layers = model.layer_prices(choices)
    return Prices(layers, sum(layers.values()))


@pytest.fixture(scope="module")
def learned(graph: Graph, stock: Stock) -> tuple[PriceModel, PriceModel]:
    """The truth, and what was learned from it."""
    true = truth(graph, stock)
    trials = uniform_trials(stock, PRECISIONS)
    measured = {name: measure(true, trial.choices, chains=name == CHAINED) for name, trial in trials.items()}
    return true, price_model(graph, trials, measured)


def random_choices(model: PriceModel, seed: int) -> dict[str, Choice]:
    rng = np.random.default_rng(seed)
    return {name: list(own)[rng.integers(len(own))] for name, own in model.own.items()}


def test_the_truth_is_found_from_uniform_trials(learned) -> None:
    true, model = learned
    assert model.own.keys() == true.own.keys()
    for name in true.own:
        assert model.own[name] == pytest.approx(true.own[name])
    assert model.fixed == pytest.approx(true.fixed)
    assert {name: more for name, more in model.behind.items() if abs(more) > 1e-9} == pytest.approx(
        true.behind
    )
    for side in ("gives", "takes"):
        saved = {name: more for name, more in getattr(model, side).items() if more}
        assert saved == pytest.approx(getattr(true, side))


@given(st.integers(0, 10_000))
def test_so_every_mix_is_priced_rightly(learned, seed: int) -> None:
    true, model = learned
    choices = random_choices(true, seed)
    assert model.layer_prices(choices) == pytest.approx(true.layer_prices(choices))
    assert model.price(choices) == pytest.approx(true.price(choices))


@given(st.integers(0, 10_000))
def test_what_was_measured_of_a_mix_is_believed(graph: Graph, learned, seed: int) -> None:
    _, model = learned
    choices = random_choices(model, seed)
    rng = np.random.default_rng(seed)
    int8 = {name for name, choice in choices.items() if choice.precision == "int8"}
    layers = {
        # A layer that no int8 stands before has one price, however often it is measured.
        name: price
        if name in model.fixed and not model.surroundings.share_behind(name, int8)
        else price * rng.uniform(0.5, 2)
        for name, price in model.layer_prices(choices).items()
    }
    measured = Prices(layers, sum(layers.values()))
    assert model.corrected(choices, measured).layer_prices(choices) == pytest.approx(layers)


def test_a_correction_touches_nothing_else(learned) -> None:
    _, model = learned
    choices = {name: next(iter(own)) for name, own in model.own.items()}
    layers = model.layer_prices(choices)
    corrected = model.corrected(choices, Prices({**layers, "stem": layers["stem"] + 1}, 0.0))
    for name, own in model.own.items():
        for choice, price in own.items():
            more = 1 if (name, choice) == ("stem", choices["stem"]) else 0
            assert corrected.own[name][choice] == pytest.approx(price + more)
    assert model.layer_prices(choices) == layers


def test_without_int8_nothing_is_saved_by_chains(graph: Graph, stock: Stock) -> None:
    trials = uniform_trials(stock, ["fp32"])
    prices = {layer.name: 1.0 for layer in graph.layers}
    model = price_model(graph, trials, {name: Prices(prices, 11.0) for name in trials})
    assert (model.gives, model.takes, model.behind) == ({}, {}, {})
    assert not any(model.could_gain(name) for name in model.own)


@given(st.integers(0, 10_000))
def test_int8_that_could_not_gain_is_in_no_cheapest_mix(graph: Graph, stock: Stock, seed: int) -> None:
    from itertools import product

    true = truth(graph, stock, seed)
    best_of = {
        name: [
            min((c for c in own if (c.precision == "int8") == int8), key=lambda c: own[c])
            for int8 in (False, True)
        ]
        for name, own in true.own.items()
    }
    harmless = {name: max(more, 0.0) for name, more in true.behind.items()}
    model = PriceModel(true.surroundings, true.own, true.fixed, harmless, true.gives, true.takes)
    mixes = [dict(zip(best_of, chosen, strict=True)) for chosen in product(*best_of.values())]
    best = min(mixes, key=model.price)
    for name, choice in best.items():
        if choice.precision == "int8":
            assert model.could_gain(name)
