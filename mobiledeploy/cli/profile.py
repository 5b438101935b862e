"""`mobiledeploy profile`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from mobiledeploy.cli.options import format_option, serial_option
from mobiledeploy.cli.progress import step_progress


@click.command(short_help="Say where a network's time goes, layer by layer, on the device.")
@click.argument("bundle", type=click.Path(path_type=Path))
@serial_option
@click.option("--precision", default="fp32", show_default=True, help="The variant.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1, 256), help="How many.")
@click.option("--cores", metavar="SET", help="One of all, big, little, prime, or a mask such as 0xf0.")
@click.option("--quick", is_flag=True, help="30 inferences of each kind, for a first look.")
@click.option("--runs", type=click.IntRange(1), help="So many inferences of each kind.  [default: 120]")
@click.option(
    "--timeout", default=900.0, show_default=True, type=click.FloatRange(1), help="Seconds for a launch."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the profile there."
)
@click.option(
    "--trace", type=click.Path(path_type=Path), metavar="FILE", help="Write a timeline that Perfetto opens."
)
@click.option(
    "--top", type=click.IntRange(1), metavar="N", help="Show the N longest layers, the rest as one."
)
@format_option
def command(
    bundle: Path,
    serial: str | None,
    precision: str,
    threads: int,
    cores: str | None,
    quick: bool,
    runs: int | None,
    timeout: float,
    output: Path | None,
    trace: Path | None,
    top: int | None,
    form: str,
) -> None:
    """Say where a network's time goes, layer by layer, on the device.

    Each layer's median time, share, multiply-adds, bytes, speeds, and how near it comes to what the device could do
    at most, which is measured there too. The sum is held against the time of inferences that are not profiled.

    \b
    mobiledeploy profile bundles/seg_matting --top 20 --trace trace.json
    """
    from mobiledeploy.benchmark import Plan
    from mobiledeploy.bundle import open_bundle
    from mobiledeploy.cli.output import print_table, tell_restored
    from mobiledeploy.device.cores import core_mask
    from mobiledeploy.phone.fallback import phone_or_virtual
    from mobiledeploy.profile import METHOD, QUICK_METHOD, profile, write_profile, write_trace
    from mobiledeploy.report.profile_table import profile_notes, profile_table

    method = QUICK_METHOD if quick else METHOD
    if runs is not None:
        method = dataclasses.replace(method, min_runs=runs)
    opened = open_bundle(bundle)
    with phone_or_virtual(serial) as device, step_progress() as progress:
        tell_restored(device)
        plan = Plan(
            precisions=(precision,),
            threads=(threads,),
            cores=(core_mask(device.facts, cores) if cores is not None else None,),
            method=method,
            timeout_s=timeout,
        )
        found = profile(opened, device, plan, progress)
    for path, write in ((output, write_profile), (trace, write_trace)):
        if path is not None:
            write(found, path)
            click.echo(f"wrote {path}", err=True)
    print_table(profile_table(found, top), form, document=dict(found.document), notes=profile_notes(found))
