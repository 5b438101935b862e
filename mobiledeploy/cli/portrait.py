"""`mobiledeploy portrait`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobiledeploy.cli.options import serial_option
from mobiledeploy.cli.progress import step_progress
from mobiledeploy.errors import MobileDeployError, UsageError
from mobiledeploy.progress import Progress

if TYPE_CHECKING:
    from mobiledeploy.bundle import Bundle
    from mobiledeploy.portrait.compose import Background
    from mobiledeploy.portrait.network import Network
    from mobiledeploy.portrait.pipeline import Made

NetworkOf = Callable[[str], "Network"]


@click.command(short_help="Keep the person in colour in photos and videos, and change the background.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("source", metavar="PHOTO|VIDEO|FOLDER", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The file or folder to write."
)
@click.option("--precision", default="fp32", show_default=True, help="The variant to run.")
@click.option(
    "--background",
    default="grey",
    show_default=True,
    metavar="grey|blur|FILE",
    help="What to make of the background; FILE is a picture that takes its place.",
)
@click.option(
    "--device", "on_device", is_flag=True, help="Run the network on the phone, not on this computer."
)
@serial_option
@click.option("--sheet", is_flag=True, help="Write a PNG of all variants side by side, with error maps.")
def command(
    bundle: Path,
    source: Path,
    output: Path,
    precision: str,
    background: str,
    on_device: bool,
    serial: str | None,
    sheet: bool,
) -> None:
    """Keep the person in colour in photos and videos, and change the background.

    The background becomes grey, blurred, or a picture of yours. What is written is of the same kind and size as what
    is read: a photo, a GIF, a video, or a folder of them.

    \b
    mobiledeploy portrait bundles/seg_matting me.jpg -o me-grey.jpg
    mobiledeploy portrait bundles/seg_matting clip.mp4 -o clip-blur.mp4 --background blur
    """
    from mobiledeploy.bundle import open_bundle
    from mobiledeploy.portrait import background_of, process

    if not source.exists():
        raise UsageError(f"{source}: no such file or folder")
    opened = open_bundle(bundle)
    composed = background_of(background)
    with step_progress() as progress, _networks(opened, serial, progress, on_device=on_device) as network_of:
        if sheet:
            _write_sheets(opened, source, output, network_of, composed, progress)
        else:
            make = _painter(network_of(precision), composed, progress)
            process(source, output, make, _tell)


@contextmanager
def _networks(
    bundle: Bundle, serial: str | None, progress: Progress, *, on_device: bool
) -> Iterator[NetworkOf]:
    """Give what loads a variant of the bundle, on this computer, or on a device for the time of the block."""
    from mobiledeploy.phone.fallback import phone_or_virtual
    from mobiledeploy.portrait import DeviceNetwork, HostNetwork

    if not on_device and serial is None:
        yield lambda precision: HostNetwork(bundle, precision)
        return
    with phone_or_virtual(serial) as device, device.exclusive():
        yield lambda precision: DeviceNetwork(bundle, precision, device, progress)


def _painter(network: Network, background: Background, progress: Progress) -> Callable[[Path, Path], Made]:
    from mobiledeploy.portrait import Studio, portrait

    studio = Studio(network, background)
    return lambda source, target: portrait(source, target, studio, progress)


def _write_sheets(
    bundle: Bundle,
    source: Path,
    output: Path,
    network_of: NetworkOf,
    background: Background,
    progress: Progress,
) -> None:
    from mobiledeploy.portrait import process, write_sheet
    from mobiledeploy.portrait.photo import SUFFIXES

    networks = {precision: network_of(precision) for precision in dict.fromkeys(("fp32", *bundle.variants))}

    def make(file: Path, target: Path) -> Made:
        progress(file.name, 0, 0)
        return write_sheet(file, target, networks, background)

    process(source, output, make, _tell, suffixes=SUFFIXES, added=".png")


def _tell(made: Made | MobileDeployError) -> None:
    """Say on stderr what came of a file."""
    if isinstance(made, MobileDeployError):
        click.echo(f"error: {made.message}", err=True)
        return
    click.echo(f"wrote {made.path}" + (f" ({made.frames} frames)" if made.frames > 1 else ""), err=True)
    for note in made.notes:
        click.echo(f"  {note}", err=True)
