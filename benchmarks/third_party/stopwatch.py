"""Time one pair of ncnn files: a process of its own, since two nets in one process favour the newer one.

    python -m benchmarks.third_party.stopwatch PARAM BIN INPUT SHAPE OUTPUT,… SECONDS

One thread, pinned to a core, SHAPE as 3x224x224. Prints a JSON object: the medians `cpu_ms` and `wall_ms` of one
inference, and `runs`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import ncnn
import numpy as np

from benchmarks.third_party.check import load

# mallopt's parameters (glibc's malloc.h). By itself glibc gives large freed blocks back to the system or not, as the
# heap happens to lie, and taking them again costs a page fault for each 4 KiB: up to 7 % of a whole network.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4

WARM_UP = 3
MIN_RUNS = 10


def keep_memory() -> None:
    """Let malloc keep what is freed, so that no graph is judged by where its blobs lie; does nothing without glibc."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def measure(
    param: Path, weights: Path, blob: str, shape: list[int], outputs: list[str], seconds: float
) -> dict[str, float]:
    """Run for so many seconds, and at least `MIN_RUNS` times."""
    net = load(param, weights)
    if net is None:
        raise SystemExit(f"ncnn can't load {param}")
    values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    given = ncnn.Mat(values).clone()  # Mat itself holds no reference to its array
    cpu_ms: list[float] = []
    wall_ms: list[float] = []
    end = None
    for run in range(-WARM_UP, 1_000_000):
        wall, cpu = time.perf_counter(), time.process_time()
        if end is None and run == 0:
            end = wall + seconds
        if end is not None and run >= MIN_RUNS and wall > end:
            break
        extractor = net.create_extractor()
        extractor.input(blob, given)
        for output in outputs:
            if extractor.extract(output)[0] != 0:
                raise SystemExit(f"ncnn can't compute {output} of {param}")
        if run >= 0:
            cpu_ms.append((time.process_time() - cpu) * 1e3)
            wall_ms.append((time.perf_counter() - wall) * 1e3)
    return {"cpu_ms": statistics.median(cpu_ms), "wall_ms": statistics.median(wall_ms), "runs": len(cpu_ms)}


if __name__ == "__main__":
    keep_memory()
    param, weights, blob, shape, outputs, seconds = sys.argv[1:]
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found = measure(
        Path(param),
        Path(weights),
        blob,
        [int(extent) for extent in shape.split("x")],
        outputs.split(","),
        float(seconds),
    )
    print(json.dumps(found))
