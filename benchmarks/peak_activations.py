"""The peak of activations that `inspect` computes, beside what ncnn really takes from an allocator that counts.

    python benchmarks/peak_activations.py [--bundles demo] [--precision fp32,int8]

peak_activations.cpp is linked with the very ncnn that android_bench was, and runs each network once, in one thread:
with plain blobs, as `inspect` counts them, and with ncnn's packed ones, which is how it runs.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import tempfile
from pathlib import Path

from harness_cost import ABIS, build_program

from android_bench import build_binary
from mobiledeploy.bundle import MANIFEST, Bundle, open_bundle
from mobiledeploy.cache import cache_dir
from mobiledeploy.inspect import inspect_bundle


def counted_bytes(program: Path, bundle: Bundle, precision: str, packing: bool) -> tuple[int, int]:
    """Run a variant once; returns the most bytes of blobs, and of workspace, at once."""
    variant, [tensor] = bundle.variant(precision), bundle.inputs
    _, channels, height, width = map(str, tensor.shape)
    outputs = [output.blob for output in bundle.outputs]
    command = [
        program,
        variant.param,
        variant.bin,
        tensor.blob,
        width,
        height,
        channels,
        str(int(packing)),
        *outputs,
    ]
    blobs, workspace = subprocess.check_output(command, text=True).split()
    return int(blobs), int(workspace)


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundles", type=Path, default=Path("demo"), help="A folder of bundles.")
    parser.add_argument("--precision", default="fp32,int8")
    arguments = parser.parse_args()
    binary = build_binary(ABIS[platform.machine()], cache_dir=cache_dir())
    print("| network | precision | computed (bytes) | counted, plain | counted, packed | workspace, packed |")
    print("|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        program = build_program("peak_activations", Path(folder), binary)
        for manifest in sorted(arguments.bundles.glob(f"*/{MANIFEST}")):
            bundle = open_bundle(manifest.parent)
            for precision in arguments.precision.split(","):
                peak = inspect_bundle(bundle, [precision])[precision].peak
                plain, _ = counted_bytes(program, bundle, precision, packing=False)
                packed, workspace = counted_bytes(program, bundle, precision, packing=True)
                computed = peak.bytes if peak else "not known"
                print(f"| {bundle.name} | {precision} | {computed} | {plain} | {packed} | {workspace} |")


if __name__ == "__main__":
    main()
