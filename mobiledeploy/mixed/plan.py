"""A plan: what each layer of a mix runs in and why, as a document to read, to edit and to use again elsewhere.

It is JSON. What `read_plan` needs of it is `layers` (each with `name`, `precision`, `winograd` and `sgemm`; a layer
that is not listed is fp16), `apart`, the grouped convolutions that are taken apart, and `channels`, the widths that
groups of channels are padded to; the rest says how it came about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from mobiledeploy.bundle import plan_file
from mobiledeploy.errors import UsageError
from mobiledeploy.mixed.rewriting import Rewriting
from ncnn_tools.files import write_atomically
from ncnn_tools.mixed import Choice, Precision

SCHEMA = 1

# What maps names to numbers, and in how many objects inside each other.
_NUMBERS = {"bound": 1, "wholes": 1, "figures": 3}


@dataclass(frozen=True)
class Plan:
    """A plan: `document` is the whole JSON."""

    document: Mapping[str, Any]

    @property
    def layers(self) -> Sequence[Mapping[str, Any]]:
        """One entry a layer, in the order of the network."""
        layers: Sequence[Mapping[str, Any]] = self.document["layers"]
        return layers

    @property
    def choices(self) -> dict[str, Choice]:
        """What was chosen for each layer."""
        return {
            entry["name"]: Choice(entry["precision"], entry["winograd"], entry["sgemm"])
            for entry in self.layers
        }

    @property
    def rewriting(self) -> Rewriting:
        """How the network is written anew before the choices."""
        return Rewriting(self.document.get("apart", []), self.document.get("channels", {}))

    def __str__(self) -> str:
        """Return it as it stands in its file: one line a layer, for whoever edits or compares it."""
        head = {key: value for key, value in self.document.items() if key != "layers"}
        layers = ",\n".join("  " + json.dumps(entry) for entry in self.layers)
        return json.dumps(head, indent=1)[:-2] + ',\n "layers": [\n' + layers + "\n ]\n}\n"


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan, whole or not at all."""
    write_atomically(path, str(plan).encode())


def read_plan(path: Path) -> Plan:
    """Read a plan's file, or that of a bundle; UsageError says what is wrong with it, and where."""
    file = path / plan_file("mixed") if path.is_dir() else path
    try:
        document = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"{file}: can't be read: {error.strerror}", hint="`convert --precision mixed` makes a plan."
        ) from error
    except ValueError as error:
        raise UsageError(f"{file}: not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != "plan" or document.get("schema") != SCHEMA:
        raise UsageError(f"{file}: not a plan of schema {SCHEMA}")
    if wrong := _damage(document):
        raise UsageError(f"{file}: {wrong}")
    layers = document["layers"]
    for number, entry in enumerate(layers, start=1):
        if wrong := _fault(entry):
            raise UsageError(f"{file}: layer {number}: {wrong}")
    names = [entry["name"] for entry in layers]
    if len(set(names)) < len(names):
        raise UsageError(f"{file}: layer {max(names, key=names.count)!r} stands there twice")
    return Plan(cast("dict[str, Any]", document))


def _damage(document: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a plan beside its layers, if anything is; all but them may be missing."""
    if not isinstance(document.get("layers"), list):
        return "a plan has a list of layers"
    widths = document.get("channels", {})
    if not isinstance(widths, dict) or not all(type(width) is int for width in widths.values()):
        return "channels should map names to whole numbers"
    apart = document.get("apart", [])
    if not isinstance(apart, list) or not all(isinstance(name, str) for name in apart):
        return "apart should be a list of names"
    for key, depth in _NUMBERS.items():
        if not _holds_numbers(document.get(key, {}), depth):
            return f"{key} should hold numbers by their names"
    if not isinstance(document.get("device", {}), dict):
        return "device should be an object"
    return None if isinstance(document.get("advice", []), list) else "advice should be a list"


def _holds_numbers(value: object, depth: int) -> bool:
    """Say whether a value is a number, inside so many objects."""
    if depth == 0:
        return isinstance(value, (int, float))
    return isinstance(value, dict) and all(_holds_numbers(inner, depth - 1) for inner in value.values())


def _fault(entry: object) -> str | None:
    """Say what is wrong with a layer's entry, if anything is."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return "it should be an object with a name"
    if entry.get("precision") not in get_args(Precision):
        return f"{entry['name']}: the precision is {', '.join(get_args(Precision))}, not {entry.get('precision')!r}"
    for key in ("winograd", "sgemm"):
        if not isinstance(entry.get(key), bool):
            return f"{entry['name']}: {key} is true or false, not {entry.get(key)!r}"
    for key in ("before", "after", "error_share"):
        if not isinstance(entry.get(key, 0.0), (int, float)):
            return f"{entry['name']}: {key} is a number, not {entry.get(key)!r}"
    return None
