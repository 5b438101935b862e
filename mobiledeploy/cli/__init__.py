"""The command line: one file a command, imported only when that command runs.

Help must be quick (under 0.3 s), so nothing here imports torch, onnx, ncnn or numpy.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from mobiledeploy.errors import MobileDeployError

# Name → one line for `mobiledeploy --help`. The command is `command` in mobiledeploy/cli/NAME.py;
# its own help starts with the same line (a test holds the two together).
COMMANDS = {
    "convert": "Turn a checkpoint or an ONNX file into a bundle of ncnn models.",
    "quantize": "Make a bundle's int8 variant anew, by other methods or pictures, or a mixed one.",
    "sensitivity": "Say which layers int8 costs most, and why.",
    "inspect": "Show a model's layers, sizes, kernels and memory, or what the graph passes do.",
    "benchmark": "Run bundles on a device and record latency, size and accuracy.",
    "profile": "Say where a network's time goes, layer by layer, on the device.",
    "verify": "Say how right each variant of a bundle is, on your own pictures.",
    "diff": "Say where two stages of a network part: the first bad layer, and why.",
    "report": "Print recorded runs as a table, Markdown, CSV or JSON.",
    "compare": "Say whether one run, or row, is faster than another.",
    "devices": "List devices and their facts, or clean what was pushed to them.",
    "portrait": "Keep the person in colour in photos and videos, and change the background.",
    "phone": "Run a virtual phone: this computer as an ADB device on loopback.",
    "demo": "Do the whole job on the shipped network: convert, push, run, report.",
    "doctor": "Say what is installed, cached and connected, and what is missing.",
}


INTERRUPTED = 130
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h: a fault of ours, so none of the meanings in `errors`


class LazyGroup(click.Group):
    """A click group that knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the command names in the order of a person's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command, or None for a name that is not one."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"mobiledeploy.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mobiledeploy")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def cli(debug: bool) -> None:
    """Take a trained PyTorch checkpoint to an Android phone: fast, small, and still right."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line; errors become one message on stderr and the exit code that their class gives."""
    arguments = sys.argv[1:] if argv is None else argv
    sys.exit(_run(arguments))


def _run(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    try:
        result: Any = cli.main(args=arguments, prog_name="mobiledeploy", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("\ninterrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has gone, as in `| head`
        sys.stdout = None  # or Python complains again when it flushes at exit
        return 0
    except MobileDeployError as error:
        if debug:
            raise
        _show(error)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        message = f"internal error: {type(error).__name__}: {error}"
        _show(
            MobileDeployError(
                message, hint="This is a bug. `mobiledeploy --debug …` shows where; please report it."
            )
        )
        return INTERNAL_ERROR
    return result if isinstance(result, int) else 0


def _show(error: MobileDeployError) -> None:
    click.echo(f"error: {error.message}", err=True)
    for line in error.hint.splitlines():
        click.echo(f"  {line}", err=True)
