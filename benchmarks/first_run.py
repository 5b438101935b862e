"""How long a newcomer waits: a fresh clone, `make demo` twice, and `mobiledeploy --help`.

    python benchmarks/first_run.py

Clones this repository into a temporary folder with a cache of its own, so that everything is installed and built.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
HELP_RUNS = 15
TARGETS_S = {"make demo, fresh clone": 600.0, "make demo again": 60.0, "mobiledeploy --help (median)": 0.3}


def timed(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Run a command to its end; returns wall seconds."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print a Markdown table."""
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary, "clone")
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
        environment = {**os.environ, "MOBILEDEPLOY_CACHE": str(Path(temporary, "cache"))}
        environment.pop("VIRTUAL_ENV", None)
        seconds = {name: timed(["make", "demo"], clone, environment) for name in list(TARGETS_S)[:2]}
        program = str(clone / ".venv" / "bin" / "mobiledeploy")
        helps = [timed([program, "--help"], clone, environment) for _ in range(HELP_RUNS)]
        seconds["mobiledeploy --help (median)"] = statistics.median(helps)
    print("| what | seconds | target |\n|---|---:|---:|")
    for name, target in TARGETS_S.items():
        print(f"| {name} | {seconds[name]:.2f} | {target:g} |")


if __name__ == "__main__":
    main()
