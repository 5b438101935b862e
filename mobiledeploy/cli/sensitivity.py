"""`mobiledeploy sensitivity`."""

from __future__ import annotations

from pathlib import Path

import click

from mobiledeploy.cli.options import format_option
from mobiledeploy.cli.output import print_table
from mobiledeploy.cli.progress import step_progress


@click.command(short_help="Say which layers int8 costs most, and why.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Pictures or .npy, of which 8 are taken.  [default: the bundle's samples]",
)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw it, as .svg or .png.")
@format_option
def command(bundle: Path, images: Path | None, plot: Path | None, form: str) -> None:
    """Say which layers int8 costs most, and why.

    Each layer of the int8 variant is run alone among fp32 layers, on this computer. The error that it adds to the
    outputs stands beside what the layer is, its share of the work, and where the error comes from.

    \b
    mobiledeploy sensitivity bundles/net --images portraits/ --plot net.svg
    """
    from mobiledeploy.bundle import open_bundle
    from mobiledeploy.report.sensitivity_plot import check_plot_path, write_plot
    from mobiledeploy.report.sensitivity_table import footnotes, sensitivity_table
    from mobiledeploy.sensitivity import sensitivity

    if plot is not None:
        check_plot_path(plot)
    opened = open_bundle(bundle)
    with step_progress() as progress:
        found = sensitivity(opened, images, progress)
        if plot is not None:
            progress("drawing", 0, 0)
            write_plot(found, plot)
    if plot is not None:
        click.echo(f"wrote {plot}", err=True)
    print_table(sensitivity_table(found), form, document=found.to_json(), notes=footnotes(found))
