"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_PRECISIONS = ("fp32", "fp16", "int8", "mixed")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "csv", "json"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)

serial_option = click.option(
    "-s", "--serial", metavar="SERIAL", help="The device: a serial or HOST:PORT.  [default: $ANDROID_SERIAL]"
)

calibration_method_option = click.option(
    "--calibration-method",
    "--method",
    "method",
    metavar="NAME",
    default="mse",
    show_default=True,
    help="Where int8 clips activations: mse, absmax, percentile[:99.99], cosine or kl.",
)


def precision_option(default: str) -> Decorator:
    """Return the option for a list of precisions; `default` says in words what leaving it out means."""
    return click.option(
        "--precision",
        callback=_precisions,
        metavar="LIST",
        help=f"Of {','.join(_PRECISIONS)}.  [default: {default}]",
    )


def _precisions(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    if value is None:
        return None
    chosen = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not chosen or any(part not in _PRECISIONS for part in chosen):
        raise click.BadParameter(f"{value!r} is not a list of {', '.join(_PRECISIONS)}")
    return chosen


_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def duration(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Read a duration such as 90s, 5m or 1h; returns seconds (a click callback)."""
    if value is None:
        return None
    number, unit = (value[:-1], value[-1:]) if value[-1:] in _UNITS_S else (value, "s")
    try:
        seconds = float(number) * _UNITS_S[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise click.BadParameter(f"{value!r} is not a duration such as 90s, 5m or 1h")
    return seconds


def integers(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...]:
    """Read a list of positive integers such as 1,2,4 (a click callback)."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{value!r} is not a list of positive numbers")
    return tuple(dict.fromkeys(int(part) for part in parts))


def percentage(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Read 5% or 5 as 0.05 (a click callback)."""
    if value is None:
        return None
    try:
        number = float(value.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1000:
        raise click.BadParameter(f"{value!r} is not a percentage such as 5%")
    return number / 100
