"""What the arm64 binary computes on CPU models under qemu, beside what this computer computes.

    python benchmarks/emulated_arm.py BUNDLE [CPU …]

Needs qemu-aarch64 (Debian's qemu-user). Timings under emulation mean nothing and are not taken.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mobiledeploy.benchmark import Plan, benchmark
from mobiledeploy.bundle import open_bundle
from mobiledeploy.device import open_device
from mobiledeploy.phone import VirtualPhone

DEFAULT_CPUS = ["cortex-a53", "cortex-a76"]


def main() -> None:
    """Run every variant on each CPU model and print a Markdown table."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    bundle = open_bundle(Path(sys.argv[1]))
    print(
        "| CPU | kernels | precision | max difference from this computer | max error vs fp32 | mask IoU vs fp32 |"
    )
    print("|---|---|---|---:|---:|---:|")
    for cpu in sys.argv[2:] or DEFAULT_CPUS:
        with VirtualPhone(abi="arm64-v8a", cpu=cpu) as phone, open_device(phone.serial) as device:
            run = benchmark([bundle], device, Plan())
        kernels = " ".join(run.document["context"]["cpu"]["features"])
        for entry in run.benchmarks:
            accuracy = entry["accuracy"]
            host = max(accuracy["host_max_abs"].values())
            error = max(figures["max_abs"] for figures in accuracy["outputs"].values())
            cells = [
                cpu,
                kernels,
                entry["precision"],
                f"{host:.1e}",
                f"{error:.1e}",
                f"{accuracy['mask_iou']:.4f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
