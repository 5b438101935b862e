"""`mobiledeploy benchmark`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobiledeploy.cli.options import duration, format_option, integers, precision_option, serial_option
from mobiledeploy.cli.progress import step_progress
from mobiledeploy.errors import UsageError

if TYPE_CHECKING:
    from mobiledeploy.benchmark import Method
    from mobiledeploy.benchmark.plan import Mode


@click.command(short_help="Run bundles on a device and record latency, size and accuracy.")
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@serial_option
@precision_option("all that the bundle has")
@click.option(
    "--cpu", metavar="MODEL", help="Emulate this ARM CPU instead, such as cortex-a53 or cortex-a76."
)
@click.option(
    "--count-instructions",
    is_flag=True,
    help="Count them on an emulated CPU: for CI, where times mean little.",
)
@click.option(
    "--threads", default="1", show_default=True, callback=integers, metavar="LIST", help="Such as 1,2,4."
)
@click.option(
    "--cores", metavar="LIST", help="Of all,big,little,prime, or masks such as 0xf0; several are compared."
)
@click.option("--quick", is_flag=True, help="Two seconds for each configuration, for a first look.")
@click.option("--thorough", is_flag=True, help="1024 samples and 60 s for each, as MLPerf's single stream.")
@click.option(
    "--sustained",
    callback=duration,
    metavar="5m",
    help="Load without pause for so long: what a phone keeps up.",
)
@click.option(
    "--pace", type=click.IntRange(1, 1000), metavar="HZ", help="Measure again at a camera's rate, such as 30."
)
@click.option(
    "--launches", type=click.IntRange(1), help="Processes that the samples come from.  [default: 8]"
)
@click.option("--warmup", type=click.IntRange(0), help="At least so many inferences before.  [default: 3]")
@click.option("--runs", type=click.IntRange(1), help="At least so many samples.  [default: 64]")
@click.option("--min-time", type=click.FloatRange(0), help="At least so many seconds.  [default: 10]")
@click.option("--max-temp", type=float, metavar="C", help="Begin once the device is at most so warm, in °C.")
@click.option(
    "--cooldown", callback=duration, default="10m", show_default=True, help="Wait at most so long for that."
)
@click.option(
    "--stabilize", is_flag=True, help="Ask the device for steady clocks meanwhile; undone afterwards."
)
@click.option(
    "--timeout", default=900.0, show_default=True, type=click.FloatRange(1), help="Seconds for a launch."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The run's file.  [default: runs/TIME-NAME.json]"
)
@format_option
def command(
    bundles: tuple[Path, ...],
    serial: str | None,
    precision: tuple[str, ...] | None,
    cpu: str | None,
    count_instructions: bool,
    threads: tuple[int, ...],
    cores: str | None,
    quick: bool,
    thorough: bool,
    sustained: float | None,
    pace: int | None,
    launches: int | None,
    warmup: int | None,
    runs: int | None,
    min_time: float | None,
    max_temp: float | None,
    cooldown: float,
    stabilize: bool,
    timeout: float,
    output: Path | None,
    form: str,
) -> None:
    """Run bundles on a device and record latency, size and accuracy.

    All configurations run interleaved, in random order, in several processes. Each is warmed up until it is
    steady, then measured for at least 64 samples and 10 s.

    Without a phone, a virtual one is started for the time of the run: it is this computer behind a real ADB
    connection, and its timings are this computer's.

    A run that fails or is interrupted keeps its samples; the same command goes on from there.

    \b
    mobiledeploy benchmark bundles/seg_matting --threads 1,2
    mobiledeploy benchmark bundles/seg_matting --count-instructions --cpu cortex-a53
    """
    import datetime

    from mobiledeploy.benchmark import Plan, benchmark, default_path, write_run
    from mobiledeploy.benchmark.accuracy import check_device_parity
    from mobiledeploy.bundle import open_bundle
    from mobiledeploy.cli.output import print_runs, tell_restored
    from mobiledeploy.device.cores import core_mask
    from mobiledeploy.phone.fallback import chosen_device

    opened = [open_bundle(path) for path in bundles]
    given = {"launches": launches, "warmup_runs": warmup, "min_runs": runs, "pace_hz": pace}
    method = _method(quick, thorough, given, min_time)
    mode: Mode = "steady"
    if sustained is not None:
        if pace or quick or thorough:
            raise UsageError("--sustained goes with none of --pace, --quick and --thorough")
        mode, method, timeout = "sustained", method.sustained(sustained), timeout + sustained
    plan = Plan(
        precisions=precision,
        threads=threads,
        method=method,
        mode=mode,
        max_temp_c=max_temp,
        cooldown_s=cooldown,
        stabilize=stabilize,
        count_instructions=count_instructions,
        timeout_s=timeout,
    )
    with chosen_device(serial, cpu, emulated=count_instructions) as device, step_progress() as progress:
        tell_restored(device)
        if cores is not None:
            masks = tuple(core_mask(device.facts, name) for name in cores.split(","))
            plan = dataclasses.replace(plan, cores=masks)
        run = benchmark(opened, device, plan, progress)
    path = output or default_path([bundle.name for bundle in opened], datetime.datetime.now())
    write_run(run, path)
    click.echo(f"wrote {path}", err=True)
    print_runs([run], form)
    check_device_parity(run.benchmarks)


def _method(quick: bool, thorough: bool, given: dict[str, int | None], min_time_s: float | None) -> Method:
    """Return the method that was chosen, changed by what was given."""
    from mobiledeploy.benchmark import Method

    if quick and thorough:
        raise UsageError("--quick and --thorough are two methods: choose one")
    base = Method.quick() if quick else Method.thorough() if thorough else Method()
    changes = {name: value for name, value in given.items() if value is not None}
    if min_time_s is not None:
        changes["min_time_ms"] = round(min_time_s * 1000)
    changes["max_runs"] = max(base.max_runs, changes.get("min_runs", 0))
    return dataclasses.replace(base, **changes)
