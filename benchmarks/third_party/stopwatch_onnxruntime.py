"""Time one ONNX model by onnxruntime, as `stopwatch` times ncnn's: a process of its own, one thread, pinned to a core.

    python -m benchmarks.third_party.stopwatch_onnxruntime MODEL SHAPE SECONDS

SHAPE as 1x3x224x224. Prints a JSON object: the medians `cpu_ms` and `wall_ms` of one inference, and `runs`.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.third_party.stopwatch import MIN_RUNS, WARM_UP


def measure(model: Path, shape: list[int], seconds: float) -> dict[str, float]:
    """Run for so many seconds, and at least `MIN_RUNS` times; all outputs are computed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    given = {session.get_inputs()[0].name: values}
    for _ in range(WARM_UP):
        session.run(None, given)
    cpu_ms: list[float] = []
    wall_ms: list[float] = []
    end = time.perf_counter() + seconds
    while len(cpu_ms) < MIN_RUNS or time.perf_counter() < end:
        wall, cpu = time.perf_counter(), time.process_time()
        session.run(None, given)
        cpu_ms.append((time.process_time() - cpu) * 1e3)
        wall_ms.append((time.perf_counter() - wall) * 1e3)
    return {"cpu_ms": statistics.median(cpu_ms), "wall_ms": statistics.median(wall_ms), "runs": len(cpu_ms)}


if __name__ == "__main__":
    model, shape, seconds = sys.argv[1:]
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found = measure(Path(model), [int(extent) for extent in shape.split("x")], float(seconds))
    print(json.dumps(found))
