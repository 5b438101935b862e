"""What the harness adds: the median of android_bench beside that of a bare C++ loop over the same ncnn.

    python benchmarks/harness_cost.py BUNDLE [--launches 20] [--runs 100]

Both are processes of this computer, pinned to one core, in turns: each launch of one beside a launch of the other, in
an order that changes, on the same input. The bare loop (bare_loop.cpp) is linked with the very library that
android_bench was.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from android_bench import Binary, build_binary
from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.cache import cache_dir
from mobiledeploy.statistics import Samples, paired_ratio

ABIS = {"x86_64": "x86_64", "aarch64": "arm64-v8a"}
TARGET = 0.01


def build_program(name: str, folder: Path, binary: Binary) -> Path:
    """Compile NAME.cpp of this folder with the compiler and the ncnn of the cached android_bench."""
    root = cache_dir() / "android_bench"
    builds = root.glob(f"build/{binary.abi}-{binary.isa}-lean-*/out/ncnn/src/libncnn.a")
    [*_, library] = sorted(builds, key=os.path.getmtime)
    build = library.parents[3]
    [source] = {path.parent for path in root.glob("ncnn-*/src/net.h")}
    program = folder / name
    includes = [f"-I{source}", f"-I{library.parent}"]
    flags = ["-O3", "-DNDEBUG", "-g0", "-std=c++17", "-fno-exceptions", "-static"]
    code = Path(__file__).with_name(f"{name}.cpp")
    cache = {"ZIG_GLOBAL_CACHE_DIR": str(root / "zig"), "ZIG_LOCAL_CACHE_DIR": str(root / "zig")}
    command = [str(build / "zig-c++"), *flags, *includes, str(code), str(library), "-o", str(program)]
    subprocess.run(command, check=True, env={**os.environ, **cache})
    return program


def bare_times(program: Path, bundle: Bundle, runs: int) -> list[float]:
    """Run the loop once; returns ms."""
    variant, [tensor], output = bundle.variant("fp32"), bundle.inputs, bundle.outputs[-1]
    _, channels, height, width = tensor.shape
    shape = [str(width), str(height), str(channels)]
    command = [program, variant.param, variant.bin, tensor.blob, output.blob, *shape, str(runs)]
    return [float(line) for line in subprocess.check_output(command, text=True).split()]


def write_input(bundle: Bundle, path: Path) -> Path:
    """Write the one picture that the bare loop makes."""
    _, channels, height, width = bundle.inputs[0].shape
    channel = (np.arange(width * height) * 7919 % 256 - 110).astype(np.float32) / np.float32(255)
    np.save(path, np.tile(channel, channels).reshape(1, channels, height, width))
    return path


def our_times(binary: Path, bundle: Bundle, picture: Path, runs: int) -> list[float]:
    """Run android_bench once, on the same network, input and output; returns ms."""
    variant, [tensor], output = bundle.variant("fp32"), bundle.inputs, bundle.outputs[-1]
    command = [str(binary), "--input", f"{tensor.blob}={picture}"]
    command += ["--output", output.blob, "--warmup", "3", "--min-runs", str(runs), "--min-time-ms", "0"]
    command += ["--config", "a", "--param", str(variant.param), "--bin", str(variant.bin), "--fp16", "0"]
    document = json.loads(subprocess.check_output(command))
    times: list[float] = document["configurations"][0]["steady"]["times_ms"]
    return times


def samples(launches: list[list[float]]) -> Samples:
    """Put the launches of one of the two together."""
    return Samples.from_entry(
        {
            "times_ms": [time for times in launches for time in times],
            "started_ms": [float(index) for times in launches for index in range(len(times))],
            "launch": [number for number, times in enumerate(launches) for _ in times],
            "round": [index for times in launches for index in range(len(times))],
            "threads": 1,
        }
    )


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--launches", type=int, default=20)
    parser.add_argument("--runs", type=int, default=100)
    arguments = parser.parse_args()
    bundle = open_bundle(arguments.bundle)
    binary = build_binary(ABIS[platform.machine()], cache_dir=cache_dir())
    bare: list[list[float]] = []
    ours: list[list[float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        program = build_program("bare_loop", Path(temporary), binary)
        picture = write_input(bundle, Path(temporary, "picture.npy"))
        os.sched_setaffinity(0, {0})
        for launch in range(arguments.launches):
            for which in ((0, 1), (1, 0))[launch % 2]:
                if which == 0:
                    bare.append(bare_times(program, bundle, arguments.runs))
                else:
                    ours.append(our_times(binary.path, bundle, picture, arguments.runs))
    ratio = paired_ratio(samples(bare), samples(ours))
    medians = [math.exp(np.mean([math.log(np.median(times)) for times in side])) for side in (bare, ours)]
    print("| network | bare loop (ms) | android_bench (ms) | ratio | 95 % interval | target |")
    print("|---|---:|---:|---:|---|---|")
    interval = f"{ratio.interval.low:.4f}–{ratio.interval.high:.4f}"
    cells = [bundle.name, f"{medians[0]:.3f}", f"{medians[1]:.3f}", f"{ratio.ratio:.4f}", interval]
    print(f"| {' | '.join(cells)} | within {TARGET:.0%} of 1 |")


if __name__ == "__main__":
    main()
