"""`mobiledeploy report`."""

from __future__ import annotations

from pathlib import Path

import click

from mobiledeploy.cli.options import format_option


@click.command(short_help="Print recorded runs as a table, Markdown, CSV or JSON.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--details", is_flag=True, help="Show p99, MAD, sample counts and cold figures too.")
@click.option("--layers", is_flag=True, help="Show the instructions of each layer, where they were counted.")
@format_option
def command(runs: tuple[Path, ...], details: bool, layers: bool, form: str) -> None:
    """Print recorded runs as a table, Markdown, CSV or JSON.

    RUNS are files that `mobiledeploy benchmark` wrote; several make one table.
    """
    from mobiledeploy.benchmark import read_run
    from mobiledeploy.cli.output import print_runs
    from mobiledeploy.report.formats import render
    from mobiledeploy.report.layer_table import layer_table

    read = [read_run(path) for path in runs]
    if layers:
        click.echo(render(*layer_table(read), form))
    else:
        print_runs(read, form, details=details)
