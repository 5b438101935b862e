"""The services that the virtual phone offers, by the names under which ADB opens them."""

from __future__ import annotations

from functools import partial

from mobiledeploy.phone.connection import Service
from mobiledeploy.phone.processes import Processes
from mobiledeploy.phone.shell_service import run_command
from mobiledeploy.phone.stage import Stage
from mobiledeploy.phone.sync_service import serve_files
from mobiledeploy.phone.system import System

# Only what is implemented: a client chooses its requests by this list.
FEATURES = ("shell_v2", "stat_v2", "ls_v2", "fixed_push_mkdir")


def find_service(system: System, processes: Processes, stage: Stage, name: str) -> Service | None:
    """Return what serves a name like `shell,v2,TERM=xterm,raw:ls`, or None."""
    kind, colon, argument = name.partition(":")
    service, *options = kind.split(",")
    if not colon:
        return None
    if service in ("shell", "exec"):
        return partial(
            run_command,
            system=system,
            processes=processes,
            stage=stage,
            text=argument,
            framed="v2" in options,
        )
    if service == "sync":
        return partial(serve_files, system=system, stage=stage)
    return None
