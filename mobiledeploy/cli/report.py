"""`mobiledeploy report`."""

from __future__ import annotations

from pathlib import Path

import click

from mobiledeploy.cli.options import format_option


@click.command(short_help="Print recorded runs as a table, Markdown, CSV or JSON.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@format_option
def command(runs: tuple[Path, ...], form: str) -> None:
    """Print recorded runs as a table, Markdown, CSV or JSON.

    RUNS are files that `mobiledeploy benchmark` wrote; several make one table.
    """
    from mobiledeploy.benchmark import read_run
    from mobiledeploy.cli.output import print_runs

    print_runs([read_run(path) for path in runs], form)
