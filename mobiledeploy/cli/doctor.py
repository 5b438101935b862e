"""`mobiledeploy doctor`."""

from __future__ import annotations

import dataclasses

import click

from mobiledeploy.cli.options import format_option


@click.command(short_help="Say what is installed, cached and connected, and what is missing.")
@format_option
def command(form: str) -> int:
    """Say what is installed, cached and connected, and what is missing.

    Ends with 1 where something needed is missing.
    """
    from mobiledeploy.doctor import MISSING, examine
    from mobiledeploy.report.formats import render

    findings = examine()
    rows = [dataclasses.asdict(finding) for finding in findings]
    click.echo(render(["group", "what", "state", "detail"], rows, form))
    return int(any(finding.state == MISSING for finding in findings))
