"""How long a calibration takes beside running the fp32 model on the same pictures once.

    python benchmarks/calibration_time.py BUNDLE --images DIR [--count 100] [--rounds 5] [--threads 1]

Both load every picture and run every one, alternating round by round, in the same number of threads (each running its
own pictures, one ncnn thread each). The target: at most 1.5 times as long. Wall and CPU time; the machine may be busy,
so look at the ratio. Choosing thresholds from the statistics, once for each method, is timed apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.preprocessing import list_images
from ncnn_tools.calibration import METHODS, Calibration, collect_statistics, threshold
from ncnn_tools.files import load
from ncnn_tools.quantization import quantizable_layers
from ncnn_tools.runtime import Runtime

TARGET = 1.5


class Pictures(Sequence[dict[str, FloatArray]]):
    """Pictures, loaded when they are asked for."""

    def __init__(self, bundle: Bundle, files: list[Path]) -> None:
        self.bundle, self.files = bundle, files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: Any) -> Any:
        assert self.bundle.preprocessing
        return {self.bundle.inputs[0].blob: self.bundle.preprocessing.load(self.files[place])[0]}


def timed(step: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds of a step."""
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Alternate calibrations and plain runs; print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    fp32 = bundle.variant("fp32")
    graph = load(fp32.param, fp32.bin)
    blobs = sorted({layer.inputs[0] for layer in quantizable_layers(graph)})
    pictures = Pictures(bundle, list_images(options.images)[: options.count])
    found: list[Calibration] = []

    def calibrate() -> None:
        found[:] = [collect_statistics(graph, pictures, blobs, threads=options.threads)]

    def run() -> None:
        runtime = Runtime(fp32.param, fp32.bin)
        with ThreadPoolExecutor(options.threads) as pool:
            for _ in pool.map(lambda place: runtime.run(pictures[place]), range(len(pictures))):
                pass

    steps = {"fp32": run, "calibration": calibrate}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for number in range(options.rounds):
        for name in list(steps) if number % 2 else reversed(list(steps)):
            times[name].append(timed(steps[name]))
    print(f"{bundle.name}: {len(pictures)} pictures, {len(blobs)} blobs, threads: {options.threads}\n")
    print("| | wall (s) | CPU (s) |\n|---|---:|---:|")
    for name, entries in times.items():
        walls, cpus = zip(*entries, strict=True)
        print(f"| {name} | {median(walls):.2f} | {median(cpus):.2f} |")
    pairs = list(zip(times["calibration"], times["fp32"], strict=True))
    ratios = [median(a[clock] / b[clock] for a, b in pairs) for clock in (0, 1)]
    print(f"| ratio, median of {len(pairs)} rounds | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    for method in METHODS:
        _, seconds = timed(lambda name=method: [threshold(found[0][blob], name) for blob in blobs])
        print(f"| thresholds by {method} | | {seconds:.2f} |")
    print(f"\nTarget: at most {TARGET}.")


if __name__ == "__main__":
    main()
