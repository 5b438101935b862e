"""The cheapest mix that is right enough.

Minimized is price + multiplier * error over all choices, for many multipliers (the Lagrangian relaxation of a knapsack:
H. Everett, "Generalized Lagrange multiplier method for solving problems of optimum allocation of resources", Operations
Research 11, 1963); of the mixes found, the cheapest that is right is taken. Each layer's error counts for itself, as
HAWQ-V2 (Z. Dong et al., NeurIPS 2020) sums up its sensitivities; the prices of neighbours depend on each other, so that
the minimum is looked for by moving one layer or a chain of layers at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mobiledeploy.mixed.prices import PriceModel
from ncnn_tools.mixed import Choice

Choices = Mapping[str, Choice]

_DECADES = 4  # in which multipliers lie, above and below what makes errors count as much as prices
_A_DECADE = 8  # multipliers
_MOST_SWEEPS = 20

_BYTES_A_WEIGHT = {"fp32": 4, "fp16": 2, "int8": 1}


@dataclass(frozen=True)
class Problem:
    """What a search knows: prices, the error that each layer's int8 choices add, and what is worth a change.

    `errors` are in the unit of `Judge.squared`; those of float choices are 0, and a layer without any stays
    float. A choice that is not a layer's
    first float one has to save at least `least` (in the unit of the prices): times are uncertain by as much.
    `byte_prices` is what a byte a weight is worth in each layer: of mixes that are about as fast, the smaller one wins.
    """

    model: PriceModel
    errors: Mapping[str, Mapping[Choice, float]]
    least: float
    byte_prices: Mapping[str, float] = field(default_factory=dict)

    def error(self, choices: Choices) -> float:
        """Return the sum of the layers' errors."""
        return sum(self.errors.get(name, {}).get(choice, 0.0) for name, choice in choices.items())

    def all_float(self) -> dict[str, Choice]:
        """Return the cheapest mix without int8."""
        return {name: self._options(name, 0.0)[0] for name in self.model.own}

    def cheapest(self, multiplier: float) -> dict[str, Choice]:
        """Return the mix of the least price + multiplier * error that moves from all float and from all int8 find."""
        options = {name: self._options(name, multiplier) for name in self.model.own}
        starts = [{name: of_layer[place] for name, of_layer in options.items()} for place in (0, -1)]
        found = [self._descend(start, options, multiplier) for start in starts]
        return min(found, key=lambda choices: self.cost(choices, multiplier))

    def _options(self, name: str, multiplier: float) -> list[Choice]:
        """Return the best float choice of a layer, and the best int8 one if it has any."""
        own = self.model.own[name]
        floats = [choice for choice in own if choice.precision != "int8"]
        int8 = [choice for choice in own if choice.precision == "int8"]
        best = [self._best(floats, own)]
        if int8 and name in self.errors:
            errors = self.errors[name]
            best.append(self._best(int8, {c: own[c] + multiplier * errors[c] for c in int8}))
        return best

    def _best(self, choices: list[Choice], costs: Mapping[Choice, float]) -> Choice:
        """Return the first choice, which is ncnn's own, unless another one is clearly better."""
        first = choices[0]
        best = min(choices, key=lambda choice: costs[choice])
        return best if costs[first] - costs[best] > self.least else first

    def cost(self, choices: Choices, multiplier: float = 0.0) -> float:
        """Return price + multiplier * error, and what size and doubt about times are worth."""
        int8 = sum(choice.precision == "int8" for choice in choices.values())
        size = sum(self._size(name, choice) for name, choice in choices.items())
        return self.model.price(choices) + size + multiplier * self.error(choices) + self.least * int8

    def _size(self, name: str, choice: Choice) -> float:
        return self.byte_prices.get(name, 0.0) * _BYTES_A_WEIGHT[choice.precision]

    def _descend(
        self, start: dict[str, Choice], options: Mapping[str, list[Choice]], multiplier: float
    ) -> dict[str, Choice]:
        """Make moves as long as they lower the cost."""
        choices, cost = start, self.cost(start, multiplier)
        moves = self._moves(options)
        for _ in range(_MOST_SWEEPS):
            before = cost
            for names, place in moves:
                moved = {**choices, **{name: options[name][place] for name in names}}
                if moved != choices and (lower := self.cost(moved, multiplier)) < cost - 1e-12:
                    choices, cost = moved, lower
            if cost == before:
                break
        return choices

    def _moves(self, options: Mapping[str, list[Choice]]) -> list[tuple[list[str], int]]:
        """Return what may change at once: a layer, or one with all that read it, to float (0) or to int8 (-1)."""
        single = [[name] for name in options]
        chains = [
            [name, *readers]
            for name, readers in self.model.surroundings.readers.items()
            if readers and name in options and all(reader in options for reader in readers)
        ]
        return [(names, place) for names in [*single, *chains] for place in (0, -1)]


def cheapest_within(problem: Problem, is_right: Callable[[Choices], bool]) -> dict[str, Choice]:
    """Return the cheapest mix that is right enough, which is all float where no other is.

    `is_right` measures a mix. Errors of layers that are added up only foretell what a mix does, so that a dearer mix
    can be wrong where a cheaper one is right: all that the multipliers find are tried, the cheapest first.
    """
    found: list[dict[str, Choice]] = []
    for multiplier in _multipliers(problem):
        choices = problem.cheapest(multiplier)
        if choices not in found:
            found.append(choices)
    found.sort(key=problem.cost)
    return next(filter(is_right, found), problem.all_float())


def _multipliers(problem: Problem) -> list[float]:
    """Return 0, and as many others as it takes to miss few mixes, around what makes errors count as much as prices."""
    free = problem.cheapest(0.0)
    even = problem.model.price(free) / max(problem.error(free), 1e-30)
    return [
        0.0,
        *(
            even * 10 ** (decade / _A_DECADE)
            for decade in range(-_DECADES * _A_DECADE, _DECADES * _A_DECADE + 1)
        ),
    ]
