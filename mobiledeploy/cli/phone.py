"""`mobiledeploy phone`."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import click


@click.command(short_help="Run a virtual phone: this computer as an ADB device on loopback.")
@click.option(
    "--abi", type=click.Choice(["arm64-v8a", "armeabi-v7a", "x86_64"]), help="[default: this computer's own]"
)
@click.option("--cpu", metavar="MODEL", help="CPU to emulate with QEMU, such as cortex-a53 or cortex-a76.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1.  [default: a free one]"
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for its files, kept afterwards.  [default: a temporary one]",
)
@click.option(
    "--fault",
    "faults",
    metavar="SPEC",
    multiple=True,
    help="Stage a fault, KIND[:NAME=VALUE,…]; see above. May be given several times.",
)
def command(abi: str | None, cpu: str | None, port: int, root: Path | None, faults: tuple[str, ...]) -> None:
    """Run a virtual phone: this computer as an ADB device on loopback.

    It runs until Ctrl-C. It takes files and commands as a phone does, and runs them for real, with your rights.
    It trusts this user's ADB keys only, because every user of this computer can reach its port.

    By default its programs run natively, so its latencies are this computer's. With --abi or --cpu an ARM CPU is
    emulated, where QEMU's user emulation is installed; times measured on that are never called latency.

    Faults, and what a client sees of them; the fields of each, with their meaning, are in docs/virtual-phone.md:

    \b
      cut          the connection is reset, or falls silent:
                     cut:bytes=N  cut:seconds=S  direction=in|out  how=silence
                     down=S (the port refuses for S seconds, or inf)  count=N
      offline      no answer to a greeting: offline  offline:open (nor to a request)
      refuse-keys  unauthorized: nobody taps "allow"
      slow         each packet is late: slow:ms=N
      full         "No space left on device": full  full:after=BYTES
      kill         pushed programs die: kill:signal=KILL|SEGV|ILL|ABRT|BUS,after=S
      hang         pushed programs stop and stay: hang:after=S
      throttle     pushed programs are slower, clocks fall, it is hot:
                     throttle:to=SHARE,after=S,cool=S
      busy         other work uses the cores: busy:processes=N
      corrupt      pushed files, or a program's output: corrupt:pushes  corrupt:output,after=BYTES
      truncate     a program's output ends early: truncate:bytes=N,end=exit|close
    """
    from mobiledeploy.device.registry import RegisteredPhone, registered
    from mobiledeploy.phone import VirtualPhone, parse_fault

    staged = [parse_fault(text) for text in faults]
    signal.signal(signal.SIGTERM, _stop)
    with (
        VirtualPhone(root, abi=abi, cpu=cpu, port=port, faults=staged) as phone,
        registered(RegisteredPhone(phone.port, phone.identity.model)),
    ):
        click.echo(f"{phone.identity.model}: {phone.serial}")
        click.echo(f"  mobiledeploy benchmark BUNDLE -s {phone.serial}")
        click.echo(f"  adb connect {phone.serial}")
        for text in faults:
            click.echo(f"  staged: {text}")
        click.echo("Ctrl-C stops it.")
        try:
            signal.pause()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End like Ctrl-C does, so that nothing is left behind."""
    raise KeyboardInterrupt
