"""`mobiledeploy verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mobiledeploy.cli.options import format_option, precision_option
from mobiledeploy.cli.output import print_table
from mobiledeploy.cli.progress import step_progress
from mobiledeploy.errors import UsageError


@click.command(short_help="Say how right each variant of a bundle is, on your own pictures.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Pictures; NAME_alpha.png beside NAME.jpg is its true matte.  [default: the bundle's samples]",
)
@click.option("--clip", is_flag=True, help="The pictures are consecutive frames, in natural order of names.")
@precision_option("all that the bundle has")
@click.option(
    "--against",
    type=click.Choice(["onnx", "truth"]),
    default="onnx",
    show_default=True,
    help="What the bounds on mattes are about.",
)
@click.option("--min-iou", type=click.FloatRange(0, 1), help="Fail where a picture's mask IoU is under it.")
@click.option("--max-mae", type=click.FloatRange(0), help="Fail where a matte's mean error is over it.")
@click.option("--max-sad", type=click.FloatRange(0), help="The same for the sum of errors, in thousands.")
@click.option("--max-edge", type=click.FloatRange(0), help="The same for the mean error around the outline.")
@click.option("--max-flicker", type=click.FloatRange(0), help="The same for the flicker; needs --clip.")
@click.option(
    "--max-error", type=click.FloatRange(0), help="Fail where any output value is further from onnxruntime's."
)
@format_option
def command(
    bundle: Path,
    images: Path | None,
    clip: bool,
    precision: tuple[str, ...] | None,
    form: str,
    **bounds: Any,
) -> None:
    """Say how right each variant of a bundle is, on your own pictures.

    Runs every variant on this computer and compares its outputs and mattes with those of the ONNX reference, and
    with the truth where it is known. A bound that any picture breaks makes the exit code 1.

    \b
    mobiledeploy verify bundles/net --images portraits/ --min-iou 0.97
    """
    from mobiledeploy.bundle import open_bundle
    from mobiledeploy.report.verify_table import footnotes, verify_table
    from mobiledeploy.verify import (
        Bounds,
        check_bounds,
        check_request,
        folder_pictures,
        sample_pictures,
        verify,
    )

    if clip and images is None:
        raise UsageError("--clip is about the pictures of --images", hint="Add --images DIR.")
    opened, limits = open_bundle(bundle), Bounds(**bounds)
    check_request(limits, opened, clip=clip)
    pictures = folder_pictures(opened, images) if images else sample_pictures(opened)
    with step_progress() as progress:
        result = verify(opened, pictures, precisions=precision, clip=clip, progress=progress)
    print_table(verify_table(result), form, document=result.to_json(), notes=footnotes(result))
    check_bounds(result, limits)
