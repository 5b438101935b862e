"""`mobiledeploy benchmark`."""

from __future__ import annotations

from pathlib import Path

import click

from mobiledeploy.cli.options import format_option, integers, precision_option, serial_option
from mobiledeploy.cli.progress import step_progress


@click.command(short_help="Run bundles on a device and record latency, size and accuracy.")
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@serial_option
@precision_option("all that the bundle has")
@click.option(
    "--threads", default="1", show_default=True, callback=integers, metavar="LIST", help="Such as 1,2,4."
)
@click.option(
    "--warmup", default=10, show_default=True, type=click.IntRange(0), help="Inferences before measuring."
)
@click.option(
    "--runs", default=50, show_default=True, type=click.IntRange(1), help="At least so many samples."
)
@click.option(
    "--min-time", default=2.0, show_default=True, type=click.FloatRange(0), help="At least so many seconds."
)
@click.option(
    "--timeout", default=900.0, show_default=True, type=click.FloatRange(1), help="Seconds for a bundle."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The run's file.  [default: runs/TIME-NAME.json]"
)
@format_option
def command(
    bundles: tuple[Path, ...],
    serial: str | None,
    precision: tuple[str, ...] | None,
    threads: tuple[int, ...],
    warmup: int,
    runs: int,
    min_time: float,
    timeout: float,
    output: Path | None,
    form: str,
) -> None:
    """Run bundles on a device and record latency, size and accuracy.

    Without a phone, a virtual one is started for the time of the run: it is this computer behind a real ADB
    connection, and its timings are this computer's.

    \b
    mobiledeploy benchmark bundles/seg_matting --threads 1,2
    """
    import datetime

    from mobiledeploy.benchmark import Method, Plan, benchmark, default_path, write_run
    from mobiledeploy.benchmark.accuracy import check_device_parity
    from mobiledeploy.bundle import open_bundle
    from mobiledeploy.cli.output import print_runs
    from mobiledeploy.phone.fallback import phone_or_virtual

    opened = [open_bundle(path) for path in bundles]
    method = Method(warmup_runs=warmup, min_runs=runs, min_time_ms=round(min_time * 1000))
    plan = Plan(precisions=precision, threads=threads, method=method, timeout_s=timeout)
    with phone_or_virtual(serial) as device, step_progress() as progress:
        run = benchmark(opened, device, plan, progress)
    path = output or default_path([bundle.name for bundle in opened], datetime.datetime.now())
    write_run(run, path)
    click.echo(f"wrote {path}", err=True)
    print_runs([run], form)
    check_device_parity(run.benchmarks)
