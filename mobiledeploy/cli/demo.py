"""`mobiledeploy demo`."""

from __future__ import annotations

from pathlib import Path

import click

from mobiledeploy.cli.options import format_option, serial_option
from mobiledeploy.cli.progress import step_progress


@click.command(short_help="Do the whole job on the shipped network: convert, push, run, report.")
@serial_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    metavar="DIR",
    help="Where pictures, bundle and run go.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="All five networks of the project; those without a checkpoint get random weights.",
)
@format_option
def command(serial: str | None, output: Path, everything: bool, form: str) -> None:
    """Do the whole job on the shipped network: convert, push, run, report.

    Without a phone it runs on a virtual one: this computer behind a real ADB connection.
    """
    from mobiledeploy.benchmark.accuracy import check_device_parity
    from mobiledeploy.cli.output import print_runs, tell_restored
    from mobiledeploy.demo import ALL, TRAINED, run_demo
    from mobiledeploy.phone.fallback import phone_or_virtual

    with phone_or_virtual(serial) as device, step_progress() as progress:
        tell_restored(device)
        result = run_demo(output, device, progress, ALL if everything else TRAINED)
    paths = ", ".join(str(bundle.path) for bundle in result.bundles)
    click.echo(f"bundles {paths}; run {result.run_path}", err=True)
    print_runs([result.run], form)
    check_device_parity(result.run.benchmarks)
