"""`make_mixed`: from prices and errors to the mix that is the fastest on a device and right enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from mobiledeploy.mixed.advice import LEAST_SHARE, advice, int8_share
from mobiledeploy.mixed.confirm import contest
from mobiledeploy.mixed.document import Findings, plan_document
from mobiledeploy.mixed.errors import layer_errors
from mobiledeploy.mixed.groups import groups_that_pay, prices_by_parts
from mobiledeploy.mixed.judge import Judge
from mobiledeploy.mixed.padding import widths_that_pay
from mobiledeploy.mixed.plan import Plan
from mobiledeploy.mixed.prices import price_model
from mobiledeploy.mixed.rewriting import Rewriting
from mobiledeploy.mixed.search import Problem, cheapest_within
from mobiledeploy.mixed.stock import StockOf, all_in, uniform_int8
from mobiledeploy.mixed.trial import EXACT, Prices, TrialBench
from mobiledeploy.mixed.trials import uniform_trials
from ncnn_tools.graph import Graph
from ncnn_tools.mixed import Choice, Precision, Stock, mix

Choices = Mapping[str, Choice]

# How many samples each layer's int8 is tried on alone: it ranks layers; the bound is checked on all.
_SAMPLES_A_LAYER = 8

# What a choice other than ncnn's own has to save, as a share of the whole: by so much medians of layers differ
# between two runs of the same. The larger one leaves only what pays without doubt. Counts are exact.
_LEAST = (0.0005, 0.002)

# What the whole size in fp32 is worth, as a share of the time: a tenth of the size for one percent of the time.
_TIME_OF_SIZE = 0.1

_ROUNDS = 2  # of measuring mixes layer by layer and searching again


@dataclass(frozen=True)
class Mixed:
    """A mix, and the plan that says how it came about."""

    graph: Graph
    plan: Plan


def make_mixed(
    stock_of: StockOf, judge: Judge, bench: TrialBench, floats: Precision = "fp16", *, int8: bool = True
) -> Mixed:
    """Find the fastest mix on the bench's device that keeps the judge's bound.

    `stock_of` gives what mixes are made of, for the network written anew. `floats` is what layers run in that are not
    int8; without `int8` that is all of them. The uniform variants are contenders too, and stand in the plan.
    Raises what `benchmark` raises.
    """
    plain = stock_of(Rewriting())
    notes = advice(plain.float, bench.device.facts) if int8 else []
    for sentence in notes:
        bench.progress(sentence, 0, 0)
    apart = groups_that_pay(plain, stock_of, bench, floats) if int8 else []
    rewriting = Rewriting(apart, widths_that_pay(Rewriting(apart).apply(plain.float), bench, floats))
    search = _Search(stock_of(rewriting) if rewriting else plain, judge, bench, floats, int8=int8)
    candidates = {name: search.complete(choices) for name, choices in search.candidates().items()}
    uniform = _uniform(plain, floats)
    graphs = {name: mix(plain, choices) for name, choices in uniform.items()}
    graphs |= {name: mix(search.stock, choices) for name, choices in candidates.items()}
    found = contest(bench, graphs)
    figures = {name: judge.figures(graph) for name, graph in graphs.items()}
    allowed = [floats, *(["int8"] if int8 else []), *candidates]
    winner = found.fastest([EXACT, *(name for name in allowed if figures[name].keeps(judge.bound))])
    layers = bench.prices({floats: graphs[floats], "mixed": graphs[winner]})
    findings = Findings(
        graphs[winner],
        {**uniform, **candidates},
        winner,
        rewriting if winner in candidates else Rewriting(),
        found.wholes,
        figures,
        search.seen,
        search.errors,
        before=prices_by_parts(layers[floats], plain.float, rewriting.apart),
        after=layers["mixed"],
    )
    return Mixed(graphs[winner], Plan(plan_document(findings, bench, judge.bound, notes)))


def _uniform(stock: Stock, floats: Precision) -> dict[str, dict[str, Choice]]:
    """Return the uniform variants as mixes, by name; what can't be int8 is `floats` there."""
    return {
        EXACT: all_in(stock, "fp32"),
        "fp16": all_in(stock, "fp16"),
        "int8": {**all_in(stock, floats), **uniform_int8(stock)},
    }


class _Search:
    """One search on one device."""

    def __init__(
        self, stock: Stock, judge: Judge, bench: TrialBench, floats: Precision, *, int8: bool
    ) -> None:
        self.stock, self.judge, self.bench, self.floats = stock, judge, bench, floats
        self.int8 = int8 and int8_share(stock.float) >= LEAST_SHARE

    def complete(self, choices: Choices) -> dict[str, Choice]:
        """Return what every layer of a mix does: one without a choice is `floats`."""
        return {**all_in(self.stock, self.floats), **choices}

    def mixed(self, choices: Choices) -> Graph:
        """Return the graph of a mix."""
        return mix(self.stock, self.complete(choices))

    def candidates(self) -> dict[str, dict[str, Choice]]:
        """Return the mixes that deserve to be measured as wholes, by name, each once."""
        precisions: list[Precision] = [self.floats, "int8"] if self.int8 else [self.floats]
        trials = uniform_trials(self.stock, precisions)
        measured = self.bench.prices({name: trial.graph for name, trial in trials.items()})
        self.seen = self.model = price_model(self.stock.float, trials, measured)
        self.base = measured[self.floats]
        few = replace(self.judge, samples=self.judge.samples[:_SAMPLES_A_LAYER])
        self.errors = layer_errors(self.stock, self.model, few, self.bench.progress)
        found: dict[str, dict[str, Choice]] = {}
        for _ in range(_ROUNDS):
            unseen = [choices for choices in self._solve() if choices not in found.values()]
            if not unseen:
                break
            new = {f"mixed-{number}": choices for number, choices in enumerate(unseen, start=len(found))}
            in_place = self._prices({name: self.mixed(choices) for name, choices in new.items()})
            for name, choices in new.items():
                self.model = self.model.corrected(choices, in_place[name])
            found |= new
        return found

    def _prices(self, graphs: Mapping[str, Graph]) -> dict[str, Prices]:
        """Price mixes layer by layer, as if the device were as fast as when the base was priced."""
        found = self.bench.prices({self.floats: self.mixed({}), **graphs})
        scale = self.base.whole / found.pop(self.floats).whole
        return {name: prices.scaled(scale) for name, prices in found.items()}

    def _solve(self) -> list[dict[str, Choice]]:
        """Search by what is known now: without int8, and with it, each by both ideas of what pays; each mix once."""
        found: list[dict[str, Choice]] = []
        for least in _LEAST if self.bench.timed else (0.0,):
            problem = Problem(self.model, self.errors, least * self.base.whole, self._byte_prices)
            for choices in (problem.all_float(), cheapest_within(problem, self._is_right)):
                if choices not in found:
                    found.append(choices)
        return found

    @cached_property
    def _byte_prices(self) -> dict[str, float]:
        """What a byte a weight is worth in each layer, in the unit of the prices."""
        counts = {
            layer.name: layer.weights["weight"].data.size
            for layer in self.stock.float.layers
            if "weight" in layer.weights
        }
        byte = self.base.whole * _TIME_OF_SIZE / (4 * max(sum(counts.values()), 1))
        return {name: count * byte for name, count in counts.items()}

    def _is_right(self, choices: Choices) -> bool:
        self.bench.progress("searching for the fastest mix", 0, 0)
        return self.judge.figures(self.mixed(choices)).keeps(self.judge.bound)
