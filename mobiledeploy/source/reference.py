"""onnxruntime as the reference that everything made from an ONNX file is compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from mobiledeploy.arrays import FloatArray
from mobiledeploy.errors import ConversionError, UsageError

# Only fatal messages: onnxruntime writes warnings to standard error by itself.
_SEVERITY_FATAL = 4

# 256 MiB in float32, a picture of 4700x4700: a mistyped shape, or a file's, must not take all memory.
MAX_ELEMENTS = 1 << 26


@dataclass(frozen=True)
class TensorSpec:
    """A model's input or output: its ONNX name and its static shape (float32 throughout)."""

    name: str
    shape: tuple[int, ...]


def open_session(model: Path | bytes, *, optimized: bool = True) -> onnxruntime.InferenceSession:
    """Open an ONNX model, by its path or serialized, for inference on the CPU.

    With `optimized` off every node is computed as it stands in the file.

    Raises:
        ConversionError: onnxruntime can't read it or has no kernel for one of its operators.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SEVERITY_FATAL
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except (
        Exception
    ) as error:  # onnxruntime raises a class of its own for every status, RuntimeError among them
        where = "the model" if isinstance(model, bytes) else str(model)
        raise ConversionError(f"{where}: onnxruntime can't load it: {_last_line(error)}") from error


def run(
    session: onnxruntime.InferenceSession,
    inputs: Mapping[str, FloatArray],
    outputs: Sequence[str] | None = None,
) -> dict[str, FloatArray]:
    """Run one inference; returns the named outputs (by default all, in the model's order) by name.

    Raises:
        ConversionError: the model fails on these inputs.
    """
    names = [output.name for output in session.get_outputs()] if outputs is None else list(outputs)
    try:
        values = session.run(names, dict(inputs))
    except Exception as error:
        raise ConversionError(f"onnxruntime can't run the model: {_last_line(error)}") from error
    return dict(zip(names, values, strict=True))


def random_inputs(inputs: Sequence[TensorSpec], seed: int) -> dict[str, FloatArray]:
    """Return standard normal inputs, the same for the same seed.

    Raises:
        UsageError: an input has more than `MAX_ELEMENTS` elements.
    """
    for spec in inputs:
        if math.prod(spec.shape) > MAX_ELEMENTS:
            shape = "x".join(str(extent) for extent in spec.shape)
            raise UsageError(
                f"the input {spec.name!r} of shape {shape} has more than {MAX_ELEMENTS} elements"
            )
    generator = np.random.default_rng(seed)
    return {spec.name: generator.standard_normal(spec.shape, dtype=np.float32) for spec in inputs}


def relative_error(actual: FloatArray, expected: FloatArray) -> float:
    """Return max|actual - expected| / max(1, max|expected|) over one tensor.

    Infinite where the shapes differ or where either holds NaN or infinity.
    """
    if actual.shape != expected.shape or not (np.isfinite(actual).all() and np.isfinite(expected).all()):
        return float("inf")
    if expected.size == 0:
        return 0.0
    difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    return float(difference.max() / max(1.0, float(np.abs(expected).max())))


def _last_line(error: Exception) -> str:
    # onnxruntime's messages begin with status codes and source lines and end with what matters.
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
