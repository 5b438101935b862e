"""How many instructions an inference takes on CPU models under QEMU.

    python benchmarks/instructions.py BUNDLE… [--on cortex-a53:fp32,int8 …]

Needs a qemu-aarch64 that takes plugins (Debian's qemu-user).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mobiledeploy.benchmark import Plan, benchmark
from mobiledeploy.bundle import open_bundle
from mobiledeploy.device import open_device
from mobiledeploy.phone import VirtualPhone

DEFAULT = ["cortex-a53:fp32,int8", "cortex-a76:fp16,int8"]


def main() -> None:
    """Count every bundle on each CPU and print a Markdown table of millions of instructions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--on", nargs="+", default=DEFAULT, metavar="CPU:PRECISIONS")
    options = parser.parse_args()
    bundles = [open_bundle(path) for path in options.bundles]
    columns: dict[str, dict[str, str]] = {}
    for place in options.on:
        cpu, _, precisions = place.partition(":")
        plan = Plan(precisions=tuple(precisions.split(",")), count_instructions=True, timeout_s=3600)
        with VirtualPhone(abi="arm64-v8a", cpu=cpu) as phone, open_device(phone.serial) as device:
            run = benchmark(bundles, device, plan)
        for entry in run.benchmarks:
            count = entry["instructions"]["median"]
            columns.setdefault(f"{cpu} {entry['precision']}", {})[entry["model"]] = f"{count / 1e6:.1f}"
    print(f"| network | {' | '.join(columns)} |")
    print("|---|" + "---:|" * len(columns))
    for bundle in bundles:
        print(f"| {bundle.name} | {' | '.join(column[bundle.name] for column in columns.values())} |")


if __name__ == "__main__":
    main()
