"""`mobiledeploy quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mobiledeploy.cli.mixing import mixed_options, mixer_of
from mobiledeploy.cli.options import calibration_method_option, format_option
from mobiledeploy.cli.output import print_table
from mobiledeploy.cli.progress import step_progress


@click.command(short_help="Make a bundle's int8 variant anew, by other methods or pictures, or a mixed one.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--precision",
    type=click.Choice(["int8", "mixed"]),
    default="int8",
    show_default=True,
    help="mixed, measured on a device, comes with int8.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Pictures or .npy.  [default: the statistics and samples that the bundle holds]",
)
@calibration_method_option
@click.option(
    "--weights",
    type=click.Choice(["absmax", "mse"]),
    default="absmax",
    show_default=True,
    help="Where int8 clips weights.",
)
@click.option(
    "--bias-correction/--no-bias-correction",
    default=True,
    show_default=True,
    help="Take the mean error of a layer off its bias.",
)
@click.option(
    "--rounding/--no-rounding",
    default=False,
    show_default=True,
    help="Round weights so that their errors cancel.",
)
@click.option(
    "--equalize/--no-equalize", default=False, show_default=True, help="Even out the ranges of channels."
)
@click.option(
    "--center/--no-center",
    default=True,
    show_default=True,
    help="Shift what is never negative, to use all of int8.",
)
@click.option(
    "--chains/--no-chains", default=True, show_default=True, help="Let layers hand int8 to each other."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Another bundle.  [default: in place]",
)
@mixed_options
@format_option
def command(
    bundle: Path,
    precision: str,
    calibration: Path | None,
    method: str,
    weights: str,
    bias_correction: bool,
    rounding: bool,
    equalize: bool,
    center: bool,
    chains: bool,
    output: Path | None,
    form: str,
    **mixing: Any,
) -> None:
    """Make a bundle's int8 variant anew, by other methods or pictures, or a mixed one.

    Needs neither the checkpoint nor the network that the bundle came from. All other variants stay as they are.

    \b
    mobiledeploy quantize bundles/net --calibration photos/ --weights mse
    mobiledeploy quantize bundles/net --precision mixed --max-mae 0.002
    """
    from mobiledeploy.convert import Int8Options, QuantizeRequest, quantize_bundle
    from mobiledeploy.report.bundle_table import bundle_table, footnotes

    options = Int8Options(method, weights, bias_correction, rounding, equalize, center, chains)
    with mixer_of(wanted=precision == "mixed", **mixing) as mixer, step_progress() as progress:
        request = QuantizeRequest(bundle, output, calibration, options, mixer)
        changed, made = quantize_bundle(request, progress)
    click.echo(f"{'wrote' if made else 'unchanged:'} {output or bundle}", err=True)
    print_table(bundle_table(changed), form, document=changed.manifest, notes=footnotes(changed))
