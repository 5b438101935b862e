"""Load a pair of ncnn files, run it, and compare it with onnxruntime: a process of its own, for it may crash.

    python -m benchmarks.third_party.check ONNX PARAM BIN INPUT,… OUTPUT,…

INPUT and OUTPUT are blobs in the ONNX file's order. Prints a JSON object: `outcome`, `error`, `message`.

The error is the largest over all outputs and two seeded standard normal inputs of max|ncnn - onnxruntime| /
max|onnxruntime|: relative to the largest value of that output, however small it is. An output's shape has to be
that of ONNX but for axes of extent one, since ncnn has no batch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import ncnn
import numpy as np
import onnxruntime

from benchmarks.third_party.outcome import Outcome
from ncnn_tools.schema import LAYERS

TOLERANCE = 1e-4
INPUTS = 2


def check(model: Path, param: Path, weights: Path, inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    """Compare; the files are read by ncnn alone."""
    net = load(param, weights)
    if net is None:
        return {"outcome": Outcome.INVALID, "message": f"ncnn can't load it{_unknown_layers(param)}"}
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    worst = 0.0
    for seed in range(INPUTS):
        generator = np.random.default_rng(seed)
        given = {
            value.name: generator.standard_normal(value.shape, dtype=np.float32)
            for value in session.get_inputs()
        }
        extractor = net.create_extractor()
        for blob, array in zip(inputs, given.values(), strict=True):
            if extractor.input(blob, ncnn.Mat(array[0]).clone()) != 0:
                return {"outcome": Outcome.INVALID, "message": f"no input {blob}"}
        for blob, expected in zip(outputs, session.run(None, given), strict=True):
            code, mat = extractor.extract(blob)
            if code != 0 or mat.empty():
                return {"outcome": Outcome.INVALID, "message": f"ncnn can't compute {blob}"}
            actual = np.array(mat)
            if _long_axes(actual.shape) != _long_axes(expected.shape):
                return {"outcome": Outcome.WRONG, "message": f"{blob}: {actual.shape}, not {expected.shape}"}
            worst = max(worst, relative_error(actual.reshape(expected.shape), expected))
    return {"outcome": Outcome.OK if worst <= TOLERANCE else Outcome.WRONG, "error": worst}


def load(param: Path, weights: Path) -> ncnn.Net | None:
    """Load a pair of files for fp32 and one thread; None where ncnn refuses them."""
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = net.opt.use_vulkan_compute = False
    return None if net.load_param(str(param)) != 0 or net.load_model(str(weights)) != 0 else net


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return max|actual - expected| / max|expected|; infinite where either is not finite."""
    if not (np.isfinite(actual).all() and np.isfinite(expected).all()):
        return float("inf")
    difference = np.abs(actual.astype(np.float64) - expected).max()
    return float(difference / max(np.abs(expected).max(), np.finfo(np.float32).tiny))


def _unknown_layers(param: Path) -> str:
    types = {line.split()[0] for line in param.read_text().splitlines()[2:] if line.strip()}
    return "".join(f", no layer {name}" for name in sorted(types - set(LAYERS)))


def _long_axes(shape: tuple[int, ...]) -> list[int]:
    return [extent for extent in shape if extent != 1]


if __name__ == "__main__":
    model, param, weights = map(Path, sys.argv[1:4])
    print(json.dumps(check(model, param, weights, *(names.split(",") for names in sys.argv[4:6]))))
