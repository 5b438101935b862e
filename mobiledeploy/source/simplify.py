"""Constant folding and shape inference by onnxsim, in a process of its own.

onnxsim is native code that crashes on some models (a segmentation fault, an endless loop); run apart, it
can't take us along, and the model is used as it is.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.errors import ConversionError
from mobiledeploy.source.onnx_file import OnnxFile, load_onnx
from mobiledeploy.source.reference import open_session, random_inputs, relative_error, run
from ncnn_tools.files import write_atomically

# Folding only reorders float32 sums: far below this. A larger error is a bug in the simplifier.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Simplification:
    """What `simplify_onnx` did: `reason` says why the model was left as it is, and is empty where it was not."""

    simplified: bool
    reason: str = ""


def simplify_onnx(source: Path, target: Path, *, timeout_s: float = 300) -> Simplification:
    """Write a simplified copy of the static-shape ONNX file `source` to `target`.

    The result must have the same inputs and outputs and, by onnxruntime on a random input, the same values.
    Where onnxsim crashes, hangs for `timeout_s` seconds or gives something else, `target` is a copy of
    `source`.

    Raises:
        UsageError, ConversionError: `source` itself can't be loaded or run.
    """
    original = load_onnx(source)
    with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as folder:
        candidate = Path(folder) / "simplified.onnx"
        reason = _run_onnxsim(source.resolve(), candidate, timeout_s) or _difference(original, candidate)
        write_atomically(target, (source if reason else candidate).read_bytes())
    return Simplification(simplified=not reason, reason=reason)


def _run_onnxsim(source: Path, target: Path, timeout_s: float) -> str:
    """Return why it failed, or an empty string."""
    command = [sys.executable, "-m", "onnxsim", str(source), str(target)]
    try:
        # In the temporary folder, because `-m` looks for modules in the current one first.
        process = subprocess.run(
            command, cwd=target.parent, capture_output=True, text=True, errors="replace", timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        return f"onnxsim took longer than {timeout_s:g} s"
    if process.returncode < 0:
        return f"onnxsim crashed (signal {-process.returncode})"
    if process.returncode != 0 or not target.is_file():
        lines = process.stderr.strip().splitlines()
        return f"onnxsim failed: {lines[-1]}" if lines else f"onnxsim exited with {process.returncode}"
    return ""


def _difference(original: OnnxFile, path: Path) -> str:
    """Return how the model at `path` differs from the original, or an empty string."""
    try:
        simplified = load_onnx(path)
        if (simplified.inputs, simplified.outputs) != (original.inputs, original.outputs):
            return "onnxsim changed the model's inputs or outputs"
        inputs = random_inputs(original.inputs, seed=1)
        expected = run(open_session(original.model.SerializeToString()), inputs)
        actual = run(open_session(path), inputs)
    except ConversionError as error:
        return f"onnxsim's result does not run: {error.message}"
    worst = max(relative_error(actual[name], expected[name]) for name in expected)
    return "" if worst <= _TOLERANCE else f"onnxsim changed the result by {worst:.1e}"
