"""Printing of runs, the same for every command that has some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mobiledeploy.benchmark import Run
    from mobiledeploy.device import Device
    from mobiledeploy.report.formats import Table


def print_runs(runs: Sequence[Run], form: str, *, details: bool = False) -> None:
    """Print runs as one table on stdout; what a reader must know beside it follows it, or goes to stderr."""
    from mobiledeploy.report.run_notes import footnotes
    from mobiledeploy.report.run_table import run_table

    document = [dict(run.document) for run in runs]
    whole = document[0] if len(document) == 1 else document
    print_table(run_table(runs, details=details), form, document=whole, notes=footnotes(runs))


def print_table(table: Table, form: str, *, document: object, notes: Sequence[str]) -> None:
    """Print a table on stdout (as JSON the document), and notes below it, or on stderr where stdout is for programs."""
    from mobiledeploy.report.formats import markdown_text, render

    columns, rows = table
    click.echo(render(columns, rows, form, document=document))
    if form in ("table", "markdown") and notes:
        click.echo("")
    for note in notes:
        click.echo(markdown_text(note) if form == "markdown" else note, err=form in ("csv", "json"))


def tell_restored(device: Device) -> None:
    """Say on stderr what was put back of an earlier run's changes when the device was opened."""
    for restored in device.restored:
        click.echo(f"left over from an earlier run on {device.serial}: {restored}", err=True)
