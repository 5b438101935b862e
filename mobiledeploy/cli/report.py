"""`mobiledeploy report`."""

from __future__ import annotations

from pathlib import Path

import click

from mobiledeploy.cli.options import format_option


@click.command(short_help="Print recorded runs as a table, Markdown, CSV or JSON.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--details", is_flag=True, help="Show p99, MAD, sample counts and cold figures too.")
@format_option
def command(runs: tuple[Path, ...], details: bool, form: str) -> None:
    """Print recorded runs as a table, Markdown, CSV or JSON.

    RUNS are files that `mobiledeploy benchmark` wrote; several make one table.
    """
    from mobiledeploy.benchmark import read_run
    from mobiledeploy.cli.output import print_runs

    print_runs([read_run(path) for path in runs], form, details=details)
