"""The options of a mixed variant, which `convert` and `quantize` share, and what they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mobiledeploy.cli.options import serial_option
from mobiledeploy.errors import UsageError

if TYPE_CHECKING:
    from mobiledeploy.mixed import Bound, DeviceMixer, PlanMixer
    from ncnn_tools.mixed import Precision

_MIXES = ("fp16,int8", "fp32,int8", "fp16", "fp32")
_FIGURE = click.FloatRange(0, 1)

_OPTIONS = [
    click.option(
        "--min-iou", type=_FIGURE, help="mixed: mean IoU of its masks with fp32's.  [default: 0.99]"
    ),
    click.option("--max-mae", type=_FIGURE, help="mixed: mean |difference| of its alphas from fp32's."),
    click.option(
        "--min-cosine",
        type=_FIGURE,
        help="mixed: of its outputs with fp32's.  [default, without a mask: 0.999]",
    ),
    click.option("--min-top1", type=_FIGURE, help="mixed: share of inputs whose best class stays fp32's."),
    click.option(
        "--mix",
        type=click.Choice(_MIXES),
        default="fp16,int8",
        show_default=True,
        help="mixed: what its layers may run in; of one precision only the algorithms are chosen.",
    ),
    click.option(
        "--mix-threads",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="mixed: threads to be fast with.",
    ),
    click.option(
        "--plan",
        type=click.Path(path_type=Path),
        metavar="PLAN",
        help="mixed: follow a plan, a file or another bundle's, instead of measuring.",
    ),
    serial_option,
]


def mixed_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a mixed variant to a command, which hands them to `mixer_of` by their names."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@contextmanager
def mixer_of(
    *,
    wanted: bool,
    min_iou: float | None,
    max_mae: float | None,
    min_cosine: float | None,
    min_top1: float | None,
    mix: str,
    mix_threads: int,
    plan: Path | None,
    serial: str | None,
) -> Iterator[DeviceMixer | PlanMixer | None]:
    """Give what makes the mixed variant, with the device open where it takes one; None where none is wanted.

    Raises UsageError for options of a variant that is not wanted.
    """
    bounds = (min_iou, max_mae, min_cosine, min_top1)
    if not wanted:
        if plan is not None or any(bound is not None for bound in bounds):
            raise UsageError(
                "bounds and plans are of mixed variants, and none is made", hint="Add mixed to --precision."
            )
        yield None
        return
    from mobiledeploy.mixed import Bound, DeviceMixer, PlanMixer, read_plan
    from mobiledeploy.phone.fallback import phone_or_virtual

    bound: Bound | None = Bound(*bounds) if any(bound is not None for bound in bounds) else None
    if plan is not None:
        yield PlanMixer(read_plan(plan), bound)
        return
    with phone_or_virtual(serial) as device:
        floats: Precision = "fp32" if mix.startswith("fp32") else "fp16"
        yield DeviceMixer(device, bound, floats, "int8" in mix, mix_threads)
