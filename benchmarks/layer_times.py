"""How the layers' times sum up: `mobiledeploy profile` on all five networks, here or on a phone.

    python benchmarks/layer_times.py [--bundles DIR] [--precision fp32,int8] [--threads 1,2] [-s SERIAL]

The target: the layers of each network sum to within 5 % of an inference that is not profiled. Bundles are taken from
DIR (such as the one that `mobiledeploy demo --all -o DIR` left), and made there where they are missing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from mobiledeploy.benchmark import Plan
from mobiledeploy.bundle import MANIFEST, open_bundle
from mobiledeploy.demo import ALL, convert_network
from mobiledeploy.device import Device
from mobiledeploy.phone.fallback import phone_or_virtual
from mobiledeploy.profile import METHOD, profile

TARGET = 0.05
_TIMES = ("layers_ms", "outputs_ms", "medians_ms", "whole_ms", "profiled_ms")


def measure(folder: Path, device: Device, precisions: list[str], threads: list[int]) -> None:
    """Profile each network's variants and print a row for each."""
    print(f"On {device.facts.label}:\n")
    print(
        "| network | precision | threads | layers | sum of layers (ms) | outputs (ms) | sum of medians (ms) "
        "| whole (ms) | with clocks (ms) | difference | roofline |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    worst = 0.0
    for name in ALL:
        path = folder / name
        bundle = (
            open_bundle(path)
            if (path / MANIFEST).is_file()
            else convert_network(name, folder, lambda *_: None)
        )
        for precision in precisions:
            for count in threads:
                found = profile(
                    bundle, device, Plan(precisions=(precision,), threads=(count,), method=METHOD)
                )
                totals = found.totals
                worst = max(worst, abs(totals["difference"]))
                cells = [name, precision, str(count), str(len(found.layers))]
                cells += [f"{totals[key]:.3f}" for key in _TIMES]
                cells += [f"{totals['difference']:+.1%}", f"{totals['roofline']:.0%}"]
                print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nLargest difference {worst:.1%}; target at most {TARGET:.0%}.")


def main() -> None:
    """Profile all networks and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundles", type=Path, metavar="DIR")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", default="1")
    parser.add_argument("-s", "--serial")
    options = parser.parse_args()
    precisions, threads = options.precision.split(","), [int(count) for count in options.threads.split(",")]
    with phone_or_virtual(options.serial) as device, tempfile.TemporaryDirectory() as temporary:
        measure(options.bundles or Path(temporary), device, precisions, threads)


if __name__ == "__main__":
    main()
