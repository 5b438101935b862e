"""A profile: the record of where one configuration's time goes, as versioned JSON. Tables only read it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobiledeploy.benchmark import Run
from mobiledeploy.profile.figures import profile_figures
from mobiledeploy.profile.roofline import Roofline
from ncnn_tools.files import write_atomically
from ncnn_tools.graph import Graph

SCHEMA = 1


@dataclass(frozen=True)
class Profile:
    """One profile: `document` is the whole JSON."""

    document: Mapping[str, Any]

    @property
    def layers(self) -> Sequence[Mapping[str, Any]]:
        """The figures of each layer, in the order in which they run (see `figures.LayerFigures`)."""
        layers: Sequence[Mapping[str, Any]] = self.document["layers"]
        return layers

    @property
    def totals(self) -> Mapping[str, Any]:
        """The sum of the layers beside the whole (see `figures.Totals`)."""
        totals: Mapping[str, Any] = self.document["totals"]
        return totals


def make_profile(run: Run, graph: Graph) -> Profile:
    """Make the profile of a run's one configuration, whose layers were measured; `graph` is its model."""
    [entry] = run.benchmarks
    rooflines = [roofline for launch in run.document["launches"] for roofline in launch["rooflines"]]
    roofline = Roofline.from_launches(rooflines)
    layers, totals = profile_figures(entry, graph, roofline)
    described = ("model", "name", "bundle", "untrained", "precision", "threads", "options", "affinity")
    plain = ("launch", "round", "started_ms", "times_ms")
    profiled = ("launch", "round", "started_ms", "times_ms", "whole_ms")
    return Profile(
        {
            "schema": SCHEMA,
            "kind": "profile",
            **{key: run.document[key] for key in ("created", "mobiledeploy", "context", "parameters")},
            **{key: entry[key] for key in described},
            "totals": totals.to_json(),
            "layers": [layer.to_json() for layer in layers],
            "roofline": {**roofline.to_json(), "launches": rooflines},
            "samples": {
                "plain": {key: entry[key] for key in plain},
                "profiled": {key: entry["layers"][key] for key in profiled},
            },
            "launches": [
                {key: value for key, value in launch.items() if key != "rooflines"}
                for launch in run.document["launches"]
            ],
        }
    )


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(profile.document).encode())
