"""`mobiledeploy diff`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobiledeploy.cli.options import format_option, serial_option
from mobiledeploy.cli.output import print_table, tell_restored
from mobiledeploy.cli.progress import step_progress
from mobiledeploy.errors import CheckFailedError, UsageError

if TYPE_CHECKING:
    from mobiledeploy.device import Device


@click.command(short_help="Say where two stages of a network part: the first bad layer, and why.")
@click.argument("a")
@click.argument("b")
@click.option(
    "--model", metavar="FILE.py:NAME", help="The network of a checkpoint; also package.module:NAME."
)
@click.option(
    "--input-shape",
    "shapes",
    multiple=True,
    metavar="1x3xHxW",
    help="One for each input.  [default: the bundle's, or from the .toml beside the network]",
)
@click.option(
    "--input",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A picture or .npy for each input.  [default: the bundle's first sample, else noise]",
)
@click.option(
    "--max-relative",
    type=click.FloatRange(0, min_open=True),
    help="The error, as a share of the tensor's largest value, above which it is bad.",
)
@click.option(
    "--min-snr",
    type=float,
    metavar="DB",
    help="The SNR under which a tensor is bad.  [default of the two: by the kinds compared]",
)
@click.option(
    "--worst",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Show so many tensors of the lowest SNR.",
)
@click.option("--all", "everything", is_flag=True, help="Measure and show every tensor, also on a device.")
@serial_option
@click.option("--cpu", metavar="MODEL", help="Emulate this ARM CPU as the device, such as cortex-a76.")
@click.option(
    "--trust-checkpoint", is_flag=True, help="Run the code inside a pickled checkpoint. Only for your own."
)
@format_option
def command(
    a: str,
    b: str,
    model: str | None,
    shapes: tuple[str, ...],
    files: tuple[Path, ...],
    max_relative: float | None,
    min_snr: float | None,
    worst: int,
    everything: bool,
    serial: str | None,
    cpu: str | None,
    trust_checkpoint: bool,
    form: str,
) -> None:
    """Say where two stages of a network part: the first bad layer, and why.

    A and B are each a checkpoint (with --model), an .onnx file, BUNDLE:onnx, BUNDLE:VARIANT (such as
    bundles/net:int8) or BUNDLE:VARIANT@device. Every tensor that both compute is compared on the same input. On a
    device the first bad one is searched for, since each look costs a launch. A bad tensor makes the exit code 1.

    \b
    mobiledeploy diff net.pth bundles/net:fp32 --model net.py:Net
    mobiledeploy diff bundles/net:onnx bundles/net:int8
    mobiledeploy diff bundles/net:fp32 bundles/net:fp16@device
    """
    from mobiledeploy.convert.request import parse_shape
    from mobiledeploy.diff import Bound, Opener, Options, compare, parse_name
    from mobiledeploy.report.diff_table import diff_table, footnotes

    names = [parse_name(a), parse_name(b)]
    on_device = any(name.on_device for name in names)
    if (serial or cpu) and not on_device:
        raise UsageError("neither side runs on a device", hint="Name one as BUNDLE:VARIANT@device.")
    options = Options(model, tuple(parse_shape(text) for text in shapes) or None, trust_checkpoint)
    with _device(serial, cpu, wanted=on_device) as device, step_progress() as progress:
        opener = Opener(names, options, device, progress)
        first, second = (opener.open(name) for name in names)
        comparison = compare(
            first,
            second,
            opener.inputs(files, first),
            bound=None if max_relative is None and min_snr is None else Bound(max_relative, min_snr),
            everything=everything,
            progress=progress,
        )
    table = diff_table(comparison, worst=worst, everything=everything)
    print_table(table, form, document=comparison.to_json(), notes=footnotes(comparison))
    if first_bad := comparison.first_bad:
        count = sum(row.bad for row in comparison.rows)
        layer = first_bad.pair.candidate.layer
        raise CheckFailedError(
            f"{count} of {len(comparison.rows)} tensors are out of the bound, from layer {layer!r} on"
        )


@contextmanager
def _device(serial: str | None, cpu: str | None, *, wanted: bool) -> Iterator[Device | None]:
    """Open the device for the length of the block, and have it alone; nothing where none is wanted."""
    if not wanted:
        yield None
        return
    from mobiledeploy.phone.fallback import chosen_device

    with chosen_device(serial, cpu, emulated=False) as device, device.exclusive():
        tell_restored(device)
        yield device
