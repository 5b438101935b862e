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
from mobiledeploy.source.onnx_file import OnnxFile, load_onnx, save_onnx
from mobiledeploy.source.reference import open_session, random_inputs, relative_error, run

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
        reason = _run_onnxsim(source.resolve(), candidate, timeout_s)
        simplified = original
        if not reason:
            simplified, reason = _checked(original, candidate)
        # Not the candidate's bytes: onnxsim writes the weights of a large model into a file of their own.
        save_onnx(simplified.model, target)
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


def _checked(original: OnnxFile, path: Path) -> tuple[OnnxFile, str]:
    """Load the model at `path`; returns it, or the original and how it differs."""
    try:
        simplified = load_onnx(path)
        if (simplified.inputs, simplified.outputs) != (original.inputs, original.outputs):
            return original, "onnxsim changed the model's inputs or outputs"
        inputs = random_inputs(original.inputs, seed=1)
        expected = run(open_session(original.model.SerializeToString()), inputs)
        actual = run(open_session(simplified.model.SerializeToString()), inputs)
    except ConversionError as error:
        return original, f"onnxsim's result does not run: {error.message}"
    worst = max(relative_error(actual[name], expected[name]) for name in expected)
    if worst > _TOLERANCE:
        return original, f"onnxsim changed the result by {worst:.1e}"
    return simplified, ""
