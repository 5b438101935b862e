"""How wrong a mix may be, in the terms of the job: bounds on figures against fp32, each a mean over pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.special import stdtrit

from mobiledeploy.arrays import FloatArray
from mobiledeploy.errors import UsageError
from mobiledeploy.matte import Matte
from mobiledeploy.metrics import cosine, mask_iou, mean_abs, top1_agreement

# A mean over few pictures is uncertain: what is held against the bound is the worse end of its one-sided interval.
_CONFIDENCE = 0.95

Outputs = Mapping[str, FloatArray]


@dataclass(frozen=True)
class Bound:
    """What a mix must keep against fp32, each on the mean over pictures; None is no bound.

    `min_iou` (of masks) and `max_mae` (of alpha) need a mask; `min_cosine` is of all outputs as one vector;
    `min_top1` is the share of pictures whose largest value of the first output stays where it is.
    """

    min_iou: float | None = None
    max_mae: float | None = None
    min_cosine: float | None = None
    min_top1: float | None = None

    @classmethod
    def default(cls, matte: Matte | None) -> Bound:
        """Return what is asked for where nobody says: masks that agree to 99 %, else outputs to a cosine of 0.999."""
        return cls(min_cosine=0.999) if matte is None else cls(min_iou=0.99)

    def check(self, matte: Matte | None) -> None:
        """Raise UsageError for a bound that can't be measured or met."""
        if matte is None and (self.min_iou is not None or self.max_mae is not None):
            raise UsageError(
                "--min-iou and --max-mae are of masks, and the network has none",
                hint="Name its mask with --mask, or use --min-cosine or --min-top1.",
            )
        for name, limit in self.limits:
            if not 0 <= limit <= 1:  # nor is what is no number
                raise UsageError(f"--{name.replace('_', '-')} {limit:g}: bounds are numbers from 0 to 1")

    @property
    def limits(self) -> list[tuple[str, float]]:
        """The bounds that there are, by name."""
        named = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, limit) for name, limit in named if limit is not None]

    @property
    def of_alpha_alone(self) -> bool:
        """Whether nothing but the mask is bounded, so that nothing else needs to be right."""
        return self.min_cosine is None and self.min_top1 is None

    def to_json(self) -> dict[str, float]:
        """Return the bounds that there are, for a plan."""
        return dict(self.limits)

    def __str__(self) -> str:
        signs = {"min": "at least", "max": "at most"}
        return ", ".join(f"{_FIGURES[name[4:]]} {signs[name[:3]]} {limit:g}" for name, limit in self.limits)


_FIGURES = {"iou": "mask IoU", "mae": "alpha MAE", "cosine": "cosine", "top1": "top-1 agreement"}


@dataclass(frozen=True)
class Figures:
    """A mix against fp32: for each bound its values, one a picture."""

    values: Mapping[str, Sequence[float]]

    def mean(self, name: str) -> float:
        """Return the mean over pictures of the figure that a bound is on."""
        return float(np.mean(self.values[name]))

    def worse_end(self, name: str) -> float:
        """Return the end of the mean's one-sided 95 % interval (Student's t) that counts against it."""
        values = np.asarray(self.values[name], np.float64)
        if len(values) < 2:
            return float(values.mean())
        quantile = float(stdtrit(len(values) - 1, _CONFIDENCE))
        margin = quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
        return float(values.mean()) - margin if name.startswith("min") else float(values.mean()) + margin

    def keeps(self, bound: Bound) -> bool:
        """Say whether every bound holds, uncertainty included."""
        return not any(self._breaks(bound))

    def _breaks(self, bound: Bound) -> Iterator[bool]:
        for name, limit in bound.limits:
            worse = self.worse_end(name)
            kept = worse >= limit if name.startswith("min") else worse <= limit
            yield not kept  # a figure that is not a number keeps nothing

    def __str__(self) -> str:
        return ", ".join(
            f"{_FIGURES[name[4:]]} {self.mean(name):.4g}, {self.worse_end(name):.4g} at worst"
            for name in self.values
        )

    def to_json(self) -> dict[str, Any]:
        """Return means and worse ends for a plan."""
        return {name: {"mean": self.mean(name), "worse_end": self.worse_end(name)} for name in self.values}


def figures_of(
    bound: Bound, outputs: Sequence[Outputs], reference: Sequence[Outputs], matte: Matte | None
) -> Figures:
    """Measure what a bound is on; one mapping of outputs (with a batch of 1) a picture, and fp32's."""
    pairs = list(zip(outputs, reference, strict=True))
    return Figures(
        {
            name: [_figure(name[4:], found, expected, matte) for found, expected in pairs]
            for name, _ in bound.limits
        }
    )


def _figure(name: str, found: Outputs, expected: Outputs, matte: Matte | None) -> float:
    if matte is not None and name in ("iou", "mae"):
        alphas = matte.alpha(found), matte.alpha(expected)
        return mask_iou(*alphas) if name == "iou" else mean_abs(*alphas)
    if name == "top1":
        first = next(iter(expected))
        return top1_agreement(found[first], expected[first])
    return cosine(*(np.concatenate([array.ravel() for array in side.values()]) for side in (found, expected)))
