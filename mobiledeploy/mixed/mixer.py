"""What makes mixed variants for `convert` and `quantize`: a search on a device, or a plan that there is already."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from android_bench import best_isa
from mobiledeploy.bundle import plan_file
from mobiledeploy.convert.keys import source_digest
from mobiledeploy.convert.mixing import Recipe
from mobiledeploy.device import Device
from mobiledeploy.errors import CheckFailedError, UsageError
from mobiledeploy.matte import Matte
from mobiledeploy.mixed.bound import Bound
from mobiledeploy.mixed.judge import Judge
from mobiledeploy.mixed.make import Mixed, make_mixed
from mobiledeploy.mixed.plan import Plan, write_plan
from mobiledeploy.mixed.rewriting import Rewriting
from mobiledeploy.mixed.stock import make_stock, thresholds_behind_moves
from mobiledeploy.mixed.trial import TrialBench
from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph
from ncnn_tools.mixed import Precision, Stock, mix

# Of the samples that a mix is judged by, as many as biases are corrected by: means settle soon.
_CORRECTED_BY = 16


@dataclass(frozen=True)
class DeviceMixer:
    """Searches on a device, within a bound (None: `Bound.default`); `floats` is what is not int8, `threads` ncnn's."""

    device: Device
    bound: Bound | None = None
    floats: Precision = "fp16"
    int8: bool = True
    threads: int = 1

    @property
    def key(self) -> object:
        """What a mix depends on."""
        facts = self.device.facts
        isa = best_isa(facts.primary_abi, facts.cpu_features)
        return [facts.identity(), isa, _limits(self.bound), self.floats, self.int8, self.threads, _code()]

    def check(self, matte: Matte | None) -> None:
        """Raise UsageError for a bound that can't be measured."""
        if self.bound is not None:
            self.bound.check(matte)

    def mix(self, recipe: Recipe) -> tuple[Graph, dict[str, Any]]:
        """Search, and leave the plan in the recipe's folder; raises what `benchmark` raises."""
        judge = _judge(recipe, self.bound)
        with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as workspace:
            bench = TrialBench(
                self.device, recipe.folder, recipe.manifest, Path(workspace), self.threads, recipe.progress
            )
            mixed = make_mixed(
                lambda rewriting: _stock(recipe, rewriting), judge, bench, self.floats, int8=self.int8
            )
        return mixed.graph, _facts(mixed, recipe.folder)


@dataclass(frozen=True)
class PlanMixer:
    """Follows a plan that was made for another device, or edited; needs no device. `bound` is checked, if given."""

    plan: Plan
    bound: Bound | None = None

    @property
    def key(self) -> object:
        """What a mix depends on."""
        return [self.plan.document, _limits(self.bound), _code()]

    def check(self, matte: Matte | None) -> None:
        """Raise UsageError for a bound that can't be measured."""
        if self.bound is not None:
            self.bound.check(matte)

    def mix(self, recipe: Recipe) -> tuple[Graph, dict[str, Any]]:
        """Follow the plan, and leave it in the recipe's folder with the figures that it has here.

        Raises UsageError where the plan is of another network, CheckFailedError where the bound does not hold.
        """
        judge = _judge(recipe, self.bound)
        try:
            graph = mix(_stock(recipe, self.plan.rewriting), self.plan.choices)
        except GraphError as error:
            raise UsageError(
                f"the plan does not fit the network: {error}",
                hint="A plan is for one network, as it is exported.",
            ) from error
        figures = judge.figures(graph)
        if self.bound is not None and not figures.keeps(judge.bound):
            raise CheckFailedError(
                f"the plan's mix breaks the bound ({judge.bound}): {figures}",
                hint="Let a new one be searched for, without --plan, or allow more.",
            )
        kept = {} if self.bound is None else self.bound.to_json()  # the plan's own was kept by another mix
        document = {**self.plan.document, "bound": kept, "figures": {"mixed": figures.to_json()}}
        return graph, _facts(Mixed(graph, Plan(document)), recipe.folder)


def _limits(bound: Bound | None) -> object:
    return bound and bound.to_json()


def _code() -> str:
    return source_digest(Path(__file__).parent)


def _judge(recipe: Recipe, bound: Bound | None) -> Judge:
    # The masks of random weights hang on single logits, and mean nothing.
    masked = recipe.matte if not recipe.manifest.get("untrained") else None
    chosen = bound or Bound.default(masked)
    return Judge(recipe.graph, recipe.samples, recipe.outputs, chosen, recipe.matte)


def _stock(recipe: Recipe, rewriting: Rewriting) -> Stock:
    graph = rewriting.apply(recipe.graph)
    clipped = thresholds_behind_moves(graph, recipe.thresholds)
    return make_stock(graph, clipped, recipe.options, recipe.samples[:_CORRECTED_BY])


def _facts(mixed: Mixed, folder: Path) -> dict[str, Any]:
    write_plan(mixed.plan, folder / plan_file("mixed"))
    return {"plan": {key: value for key, value in mixed.plan.document.items() if key != "layers"}}
