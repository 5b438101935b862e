"""`mobiledeploy compare`."""

from __future__ import annotations

import click

from mobiledeploy.cli.options import format_option, percentage
from mobiledeploy.cli.output import print_table


@click.command(short_help="Say whether one run, or row, is faster than another.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--margin",
    default="2%",
    show_default=True,
    callback=percentage,
    metavar="PERCENT",
    help="A difference that does not matter.",
)
@click.option(
    "--max-regression",
    callback=percentage,
    metavar="PERCENT",
    help="Exit with 1 where B is slower by more, with the whole interval, or has so many more instructions.",
)
@click.option("--ignore-context", is_flag=True, help="Compare runs that differ in what matters.")
@format_option
def command(
    a: str, b: str, margin: float, max_regression: float | None, ignore_context: bool, form: str
) -> None:
    """Say whether one run, or row, is faster than another.

    A and B are files that `mobiledeploy benchmark` wrote. Each row of B is compared with the same row of A:
    faster, slower, the same within the margin, or inconclusive. FILE:ROW names one row, such as fp32-1t.
    Runs that counted instructions are compared by these.

    \b
    mobiledeploy compare before.json after.json --max-regression 5%
    mobiledeploy compare run.json:fp32-1t run.json:int8-1t
    """
    from mobiledeploy.compare import Source, compare
    from mobiledeploy.errors import CheckFailedError
    from mobiledeploy.report.comparison_table import comparison_table

    found = compare(Source.parse(a), Source.parse(b), margin=margin, ignore_context=ignore_context)
    print_table(comparison_table(found), form, document=found.to_json(), notes=found.notes)
    if max_regression is None:
        return
    if worse := found.regressions(max_regression):
        named = ", ".join(f"{row.model} {row.b} (at least {row.at_least:.1%})" for row in worse)
        raise CheckFailedError(f"{found.worse} than the {max_regression:.1%} that are allowed: {named}")
