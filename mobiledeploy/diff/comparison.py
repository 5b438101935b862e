"""What a comparison found, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mobiledeploy.diff.bounds import Bound
from mobiledeploy.diff.matching import Matching, Pair
from mobiledeploy.diff.measures import Figures
from mobiledeploy.diff.source import Intermediate, Shape, Source

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """A matched tensor that was measured. `shapes` are the reference's and the candidate's, without batch.

    `figures` is None where they differ in size.
    `lost_db` is how much less its SNR is than that of the worst of its inputs, None where that is not known.
    `first` says that it is bad and all it is computed from is good; `cause` is why, where that is known.
    """

    pair: Pair
    place: int
    shapes: tuple[Shape, Shape]
    figures: Figures | None
    bad: bool
    lost_db: float | None = None
    first: bool = False
    cause: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Two models on one input. `rows` are the tensors that were measured, in the candidate's order of computation.

    `complete` says that these are all that could be matched; else the first bad one was searched for.
    """

    reference: Source
    candidate: Source
    matching: Matching
    bound: Bound
    input: str
    rows: tuple[Row, ...]
    complete: bool
    notes: tuple[str, ...] = field(default=())

    @property
    def first_bad(self) -> Row | None:
        """The first tensor that is bad though its inputs are good."""
        return next((row for row in self.rows if row.first), None)

    @property
    def passed(self) -> bool:
        """Whether all that was measured is within the bound."""
        return not any(row.bad for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return the document that `--format json` prints."""
        first = self.first_bad
        return {
            "schema": SCHEMA,
            "kind": "diff",
            "reference": _side(self.reference),
            "candidate": _side(self.candidate),
            "input": self.input,
            "bound": {"max_relative": self.bound.max_relative, "min_snr_db": self.bound.min_snr_db},
            "passed": self.passed,
            "complete": self.complete,
            "matched": len(self.matching.pairs),
            "first_bad": first and _row(first),
            "tensors": [_row(row) for row in self.rows],
            "only_reference": [_tensor(tensor) for tensor in self.matching.only_reference],
            "only_candidate": [_tensor(tensor) for tensor in self.matching.only_candidate],
            "notes": list(self.notes),
        }


def _side(source: Source) -> dict[str, Any]:
    return {"name": source.label, "kind": source.kind, "on_device": source.on_device}


def _row(row: Row) -> dict[str, Any]:
    figures: Mapping[str, Any] = row.figures.to_json() if row.figures else {}
    return {
        "place": row.place,
        "reference": _tensor(row.pair.reference),
        "candidate": _tensor(row.pair.candidate),
        "shapes": [list(shape) for shape in row.shapes],
        "matched_by": row.pair.by,
        "is_output": row.pair.is_output,
        **figures,
        "lost_db": row.lost_db if row.lost_db is not None and math.isfinite(row.lost_db) else None,
        "bad": row.bad,
        "first": row.first,
        "cause": row.cause,
    }


def _tensor(tensor: Intermediate) -> dict[str, str]:
    return {"tensor": tensor.name, "layer": tensor.layer, "type": tensor.type}
