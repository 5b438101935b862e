"""Which graphs to run so that every layer is seen in every way that it could be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ncnn_tools.graph import Graph
from ncnn_tools.mixed import Choice, Precision, Stock, choices_of, mix
from ncnn_tools.quantization.layers import is_int8

_ALGORITHMS = [(winograd, sgemm) for winograd in (True, False) for sgemm in (True, False)]

CHAINED = "int8-chained"


@dataclass(frozen=True)
class Trial:
    """A graph to be measured, and what each of its layers that has a choice does in it."""

    graph: Graph
    choices: Mapping[str, Choice]


def layers_with_choices(stock: Stock, precisions: Sequence[Precision]) -> dict[str, list[Choice]]:
    """Map each layer that has a choice to all it has: in float (fp32 or fp16, the first) and, if it is there, int8."""
    int8 = {layer.name for layer in stock.exact.layers if is_int8(layer)}
    found = {
        layer.name: choices_of(layer, precisions if layer.name in int8 else precisions[:1])
        for layer in stock.float.layers
    }
    return {name: choices for name, choices in found.items() if len(choices) > 1}


def uniform_trials(stock: Stock, precisions: Sequence[Precision]) -> dict[str, Trial]:
    """Return the trials by name: each precision with each algorithm all over, and int8 handed on where it is there.

    The first precision is that of all layers that can't be int8. A layer that lacks an algorithm takes the one it has.
    """
    floats = precisions[0]
    layers = layers_with_choices(stock, precisions)
    base = {layer.name: Choice(floats) for layer in stock.float.layers}
    trials: dict[str, Trial] = {}
    for precision in precisions:
        for winograd, sgemm in _ALGORITHMS:
            wanted = Choice(precision, winograd, sgemm)
            chosen = {name: _nearest(wanted, choices) for name, choices in layers.items()}
            name = "-".join(filter(None, [precision, wanted.algorithms.replace(" ", "-")]))
            trials[name] = Trial(mix(stock, {**base, **chosen}, chains=False), chosen)
    if "int8" in trials:
        int8 = trials["int8"].choices
        trials[CHAINED] = Trial(mix(stock, {**base, **int8}), int8)
    return _distinct(trials)


def _nearest(wanted: Choice, choices: list[Choice]) -> Choice:
    """Return the choice that agrees with what is wanted in precision first, then in algorithms, where it has them."""
    return max(
        choices,
        key=lambda choice: (
            choice.precision == wanted.precision,
            choice.winograd == wanted.winograd,
            choice.sgemm == wanted.sgemm,
        ),
    )


def _distinct(trials: Mapping[str, Trial]) -> dict[str, Trial]:
    """Leave out trials that do in every layer what an earlier one does; the chained one is never the same."""
    seen: set[tuple[tuple[str, Choice], ...]] = set()
    kept = {}
    for name, trial in trials.items():
        key = tuple(sorted(trial.choices.items()))
        if name == CHAINED or key not in seen:
            kept[name] = trial
        seen.add(key)
    return kept
