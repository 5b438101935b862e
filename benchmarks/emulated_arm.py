"""What the arm64 binary computes on CPU models under qemu, beside what this computer computes.

    python benchmarks/emulated_arm.py BUNDLE… [--cpu CPU …]

Needs qemu-aarch64 (Debian's qemu-user). Timings under emulation mean nothing and are not taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobiledeploy.benchmark import Plan, benchmark
from mobiledeploy.bundle import open_bundle
from mobiledeploy.device import open_device
from mobiledeploy.phone import VirtualPhone

DEFAULT_CPUS = ["cortex-a53", "cortex-a76"]
COLUMNS = [
    "network",
    "precision",
    "max difference from this computer",
    "max error vs fp32",
    "mask IoU vs fp32",
]


def cells(entry: Mapping[str, Any]) -> list[str]:
    """Return a run's entry as a row; an untrained network's mask has no IoU."""
    accuracy = entry["accuracy"]
    error = max(figures["max_abs"] for figures in accuracy["outputs"].values())
    iou = "" if entry["untrained"] or "mask_iou" not in accuracy else f"{accuracy['mask_iou']:.4f}"
    host = max(accuracy["host_max_abs"].values())
    return [entry["model"], entry["precision"], f"{host:.1e}", f"{error:.1e}", iou]


def main() -> None:
    """Run every variant on each CPU model and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--cpu", nargs="+", default=DEFAULT_CPUS)
    options = parser.parse_args()
    bundles = [open_bundle(path) for path in options.bundles]
    print(f"| CPU | kernels | {' | '.join(COLUMNS)} |")
    print("|---|---|---|---|---:|---:|---:|")
    for cpu in options.cpu:
        with VirtualPhone(abi="arm64-v8a", cpu=cpu) as phone, open_device(phone.serial) as device:
            run = benchmark(bundles, device, Plan())
        kernels = " ".join(run.document["context"]["cpu"]["features"])
        for entry in run.benchmarks:
            print(f"| {cpu} | {kernels} | {' | '.join(cells(entry))} |", flush=True)


if __name__ == "__main__":
    main()
