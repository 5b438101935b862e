"""Bounds on the figures of every picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mobiledeploy.bundle import Bundle
from mobiledeploy.errors import CheckFailedError, UsageError
from mobiledeploy.verify.figures import REFERENCE, Verification

_SHOWN = 8  # broken bounds that an error lists


@dataclass(frozen=True)
class Bounds:
    """What each picture must keep, for each variant; None is no bound. The figures are those of MatteFigures.

    `max_error` is on the largest |difference| of any output from onnxruntime; the others are on the mattes against
    `against`, "onnx" or "truth".
    """

    min_iou: float | None = None
    max_mae: float | None = None
    max_sad: float | None = None
    max_edge: float | None = None
    max_flicker: float | None = None
    max_error: float | None = None
    against: str = REFERENCE

    @property
    def of_mattes(self) -> dict[str, float]:
        """The bounds that need mattes, by the figure's name."""
        named = {
            "iou": self.min_iou,
            "mae": self.max_mae,
            "sad": self.max_sad,
            "edge": self.max_edge,
            "flicker": self.max_flicker,
        }
        return {figure: limit for figure, limit in named.items() if limit is not None}


def check_request(bounds: Bounds, bundle: Bundle, *, clip: bool) -> None:
    """Raise UsageError where a verification of this bundle could not measure what a bound is about."""
    if bounds.of_mattes and (bundle.mask is None or bundle.untrained):
        why = "is untrained" if bundle.untrained else "names no mask"
        raise UsageError(
            f"{bundle.path}: {why}, so there are no mattes to set bounds to",
            hint="--max-error sets one to the outputs.",
        )
    if bounds.max_flicker is not None and not clip:
        raise UsageError("flicker is measured from frame to frame", hint="Add --clip, or drop --max-flicker.")


def check_bounds(verification: Verification, bounds: Bounds) -> None:
    """Raise CheckFailedError naming variant, figure and picture where a bound is broken.

    Raises UsageError where no picture has the figure that a bound is about.
    """
    broken = [*_broken_mattes(verification, bounds), *_broken_outputs(verification, bounds)]
    if broken:
        more = [f"and {len(broken) - _SHOWN} more"] if len(broken) > _SHOWN else []
        raise CheckFailedError(
            broken[0] if len(broken) == 1 else f"{len(broken)} figures are out of bounds",
            hint="" if len(broken) == 1 else "\n".join(broken[:_SHOWN] + more),
        )


def _broken_mattes(verification: Verification, bounds: Bounds) -> Iterator[str]:
    for figure, limit in bounds.of_mattes.items():
        judged = False
        for variant in verification.variants:
            if variant.precision == REFERENCE:
                continue
            for picture, figures in variant.against(bounds.against):
                value = getattr(figures, figure)
                judged |= value is not None
                if value is not None and (value < limit if figure == "iou" else value > limit):
                    yield _message(
                        variant.precision, f"{figure} against {bounds.against}", value, limit, picture
                    )
        if not judged:
            raise UsageError(
                f"no picture has the figure {figure!r} against {bounds.against}",
                hint="The truth is NAME_alpha.png beside NAME.jpg; the edge needs an outline, flicker a second frame.",
            )


def _broken_outputs(verification: Verification, bounds: Bounds) -> Iterator[str]:
    if bounds.max_error is None:
        return
    for variant in verification.variants:
        for entry in variant.pictures:
            for output, figures in entry.outputs.items():
                if figures.max_abs > bounds.max_error:
                    name = f"error of output {output!r}"
                    yield _message(variant.precision, name, figures.max_abs, bounds.max_error, entry.picture)


def _message(precision: str, figure: str, value: float, limit: float, picture: str) -> str:
    side = "under" if value < limit else "over"
    return f"{precision}: {figure} is {value:.4g}, {side} {limit:g}, on {picture}"
