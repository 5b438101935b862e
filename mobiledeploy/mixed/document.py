"""What a search found, as a plan's document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mobiledeploy
from mobiledeploy.mixed.advice import has_dot_product
from mobiledeploy.mixed.bound import Bound, Figures
from mobiledeploy.mixed.plan import SCHEMA
from mobiledeploy.mixed.prices import PriceModel
from mobiledeploy.mixed.rewriting import Rewriting
from mobiledeploy.mixed.trial import Prices, TrialBench
from ncnn_tools.graph import Graph, Layer
from ncnn_tools.mixed import Choice

Choices = Mapping[str, Choice]

_UNIFORM = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Findings:
    """What a search ends with.

    `graph` is the winner's. `contenders` are all mixes that were measured as wholes, the uniform variants among them,
    each with a choice for every layer; `wholes` and `figures` what each took and how right it is. `rewriting` is
    what the winner does to the network first. `model` is what the uniform trials said of prices.
    `before` and `after` are prices of each layer in float as ncnn has it, and in the winner.
    """

    graph: Graph
    contenders: Mapping[str, Choices]
    winner: str
    rewriting: Rewriting
    wholes: Mapping[str, float]
    figures: Mapping[str, Figures]
    model: PriceModel
    errors: Mapping[str, Mapping[Choice, float]]
    before: Prices
    after: Prices

    @property
    def choices(self) -> Choices:
        """The winner's."""
        return self.contenders[self.winner]


def plan_document(found: Findings, bench: TrialBench, bound: Bound, advice: Sequence[str]) -> dict[str, Any]:
    """Return the document of a plan (see `plan`)."""
    facts = bench.device.facts
    total = sum(_error(found, name, choice) for name, choice in found.choices.items())
    return {
        "schema": SCHEMA,
        "kind": "plan",
        "mobiledeploy": mobiledeploy.__version__,
        "model": bench.manifest["name"],
        "device": {
            "label": facts.label,
            "abi": facts.primary_abi,
            "emulated": facts.emulated,
            "int8_dot_product": has_dot_product(facts.cpu_features),
        },
        "threads": bench.threads,
        "unit": bench.unit,
        "bound": bound.to_json(),
        "advice": [*advice, *_verdict(found, bench.unit)],
        "wholes": {name: found.wholes[name] for name in _UNIFORM} | {"mixed": found.wholes[found.winner]},
        "figures": {name: found.figures[name].to_json() for name in _UNIFORM}
        | {"mixed": found.figures[found.winner].to_json()},
        "apart": list(found.rewriting.apart),
        "channels": dict(found.rewriting.widths),
        "layers": [_entry(found, layer, total, bench.unit) for layer in found.graph.layers],
    }


def _verdict(found: Findings, unit: str) -> list[str]:
    """Say so where a uniform variant won."""
    if found.winner not in _UNIFORM:
        return []
    if found.winner == "fp32":
        return ["No mix was faster than fp32 and within the bound: mixed is fp32."]
    return [
        f"No mix was faster than {found.winner} ({found.wholes[found.winner]:.2f} {unit}) and within the bound: "
        f"mixed is {found.winner} with fp16 storage of what is float."
    ]


def _error(found: Findings, name: str, choice: Choice) -> float:
    return found.errors.get(name, {}).get(choice, 0.0)


def _entry(found: Findings, layer: Layer, total: float, unit: str) -> dict[str, Any]:
    choice = found.choices[layer.name]
    share = _error(found, layer.name, choice) / total if total else 0.0
    return {
        "name": layer.name,
        "type": layer.type,
        "precision": choice.precision,
        "winograd": choice.winograd,
        "sgemm": choice.sgemm,
        "before": round(found.before.layers.get(layer.name, 0.0), 6),
        "after": round(found.after.layers.get(layer.name, 0.0), 6),
        "error_share": round(share, 6),
        "has_choice": layer.name in found.model.own,
        "why": _why(found, layer.name, choice, unit),
    }


def _why(found: Findings, name: str, choice: Choice, unit: str) -> str:
    """Say in a few words what spoke for a choice: prices of layers are those that the search had."""
    own = found.model.own.get(name, {})
    if choice not in own:
        return "ncnn runs it in one way" if not own else "as in the uniform variant that won"
    floats = {c: price for c, price in own.items() if c.precision != "int8"}
    int8 = {c: price for c, price in own.items() if c.precision == "int8"}
    default = next(iter(floats))
    reasons = []
    if choice.precision == "int8":
        reasons.append(f"int8 {own[choice]:.3g}, float {min(floats.values()):.3g} {unit}")
    elif int8:
        best = min(int8, key=lambda c: int8[c])
        errors = found.errors.get(name)
        if errors is None or int8[best] >= own[choice]:
            reasons.append(f"int8 not faster: {int8[best]:.3g} {unit}")
        else:
            reasons.append(
                f"int8 saves {own[choice] - int8[best]:.3g} {unit} for an error of {errors[best]:.1e}"
            )
    if choice.algorithms:
        plain = Choice(choice.precision)
        reasons.append(
            f"{choice.algorithms}: {own[choice]:.3g} instead of {own.get(plain, own[default]):.3g}"
        )
    return "; ".join(reasons) or "ncnn's own choice is the fastest"
