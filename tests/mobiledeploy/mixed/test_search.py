"""The search against all mixes there are, on networks small enough to try them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobiledeploy.mixed.prices import PriceModel
from mobiledeploy.mixed.search import Problem, cheapest_within
from mobiledeploy.mixed.surroundings import Surroundings
from ncnn_tools.mixed import Choice

FLOAT, DIRECT, INT8 = Choice("fp16"), Choice("fp16", sgemm=False), Choice("int8")
INT8_DIRECT = Choice("int8", sgemm=False)

prices = st.integers(300, 1000).map(lambda number: number / 100)
savings = st.integers(-20, 140).map(lambda number: number / 100)
errors = st.integers(0, 1000).map(lambda number: number / 1000)


@st.composite
def problems(draw: st.DrawFn, *, chained: bool, least: float = 0.0) -> Problem:
    """Draw up to four layers with two float and two int8 choices each; if chained, each may hand int8 to the next."""
    names = [f"layer{number}" for number in range(draw(st.integers(1, 4)))]
    own = {name: {choice: draw(prices) for choice in (FLOAT, DIRECT, INT8, INT8_DIRECT)} for name in names}
    links = list(pairwise(names)) if chained else []
    readers: dict[str, frozenset[str] | None] = {giver: frozenset({reader}) for giver, reader in links}
    gives = {giver: draw(savings) for giver, _ in links}
    takes = {reader: draw(savings) for _, reader in links}
    found = {
        name: {choice: draw(errors) for choice in (INT8, INT8_DIRECT)}
        for name in names
        if draw(st.booleans())
    }
    model = PriceModel(Surroundings(readers, {}, {}), own, {"other": 1.0}, {}, gives, takes)
    return Problem(model, found, least)


def all_mixes(problem: Problem) -> Iterator[dict[str, Choice]]:
    """Yield every mix whose int8 is of layers with known errors."""
    options = [
        [choice for choice in own if choice.precision != "int8" or name in problem.errors]
        for name, own in problem.model.own.items()
    ]
    for chosen in product(*options):
        yield dict(zip(problem.model.own, chosen, strict=True))


def cost(problem: Problem, choices: dict[str, Choice], multiplier: float) -> float:
    return problem.model.price(choices) + multiplier * problem.error(choices)


@given(problems(chained=False), st.floats(0, 100))
def test_independent_layers_are_chosen_best(problem: Problem, multiplier: float) -> None:
    found = cost(problem, problem.cheapest(multiplier), multiplier)
    best = min(cost(problem, choices, multiplier) for choices in all_mixes(problem))
    assert found == pytest.approx(best)


@given(problems(chained=True), st.floats(0, 100))
def test_where_layers_depend_on_each_other_no_uniform_mix_is_better(
    problem: Problem, multiplier: float
) -> None:
    found = cost(problem, problem.cheapest(multiplier), multiplier)
    assert found <= cost(problem, problem.all_float(), multiplier) + 1e-9
    int8 = {name: INT8 if name in problem.errors else choice for name, choice in problem.all_float().items()}
    assert found <= cost(problem, int8, multiplier) + 1e-9


@given(problems(chained=True))
def test_two_neighbours_are_chosen_best(problem: Problem) -> None:
    if len(problem.model.own) <= 2:
        best = min(problem.model.price(choices) for choices in all_mixes(problem))
        assert problem.model.price(problem.cheapest(0)) == pytest.approx(best)


@given(problems(chained=True), st.floats(0, 3))
def test_what_is_found_is_right_or_all_float(problem: Problem, allowed: float) -> None:
    asked = []

    def is_right(choices) -> bool:
        asked.append(choices)
        return problem.error(choices) <= allowed

    found = cheapest_within(problem, is_right)
    assert found == problem.all_float() or is_right(found)
    assert problem.model.price(found) <= problem.model.price(problem.all_float()) + 1e-9
    assert all(asked.count(choices) <= 2 for choices in asked)  # by the search, and above


@given(problems(chained=False), st.floats(0, 3))
@settings(max_examples=40)
def test_within_a_bound_no_cheaper_mix_of_so_small_an_error_is_there(
    problem: Problem, allowed: float
) -> None:
    """Everett's theorem: what a multiplier finds is the cheapest of all mixes with at most its own error."""
    found = cheapest_within(problem, lambda choices: problem.error(choices) <= allowed)
    error = problem.error(found)
    best = min(
        problem.model.price(choices) for choices in all_mixes(problem) if problem.error(choices) <= error
    )
    assert problem.model.price(found) == pytest.approx(best)


@given(problems(chained=True))
def test_nothing_right_is_all_float(problem: Problem) -> None:
    assert cheapest_within(problem, lambda _: False) == problem.all_float()


@given(problems(chained=False))
def test_a_bound_that_everything_keeps_costs_nothing(problem: Problem) -> None:
    assert cheapest_within(problem, lambda _: True) == problem.cheapest(0)


@given(problems(chained=False, least=0.5))
def test_what_saves_too_little_is_not_done(problem: Problem) -> None:
    for name, choice in problem.cheapest(0).items():
        own = problem.model.own[name]
        if choice.precision != "int8":
            assert choice == FLOAT or own[FLOAT] - own[choice] > 0.5
        else:
            assert own[FLOAT] - own[choice] > 0.5


def test_a_chain_that_pays_only_as_a_whole_is_found() -> None:
    own = {name: {FLOAT: 1.0, INT8: 1.2} for name in ("a", "b")}
    model = PriceModel(
        Surroundings({"a": frozenset({"b"})}, {}, {}), own, {}, {}, gives={"a": 0.3}, takes={"b": 0.3}
    )
    problem = Problem(model, {name: {INT8: 0.1} for name in own}, 0.0)
    assert problem.cheapest(0) == {"a": INT8, "b": INT8}
    assert problem.cheapest(1.0) == {"a": INT8, "b": INT8}  # 1.8 + 0.2 of 2
    assert problem.cheapest(1.5) == {"a": FLOAT, "b": FLOAT}


def test_a_layer_whose_int8_has_no_error_measured_stays_float() -> None:
    model = PriceModel(Surroundings({}, {}, {}), {"a": {FLOAT: 5.0, INT8: 1.0}}, {}, {}, {}, {})
    assert Problem(model, {}, 0.0).cheapest(0) == {"a": FLOAT}
