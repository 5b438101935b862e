"""The converters side by side: this project's, and pnnx from the same ONNX file and from TorchScript."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from benchmarks.third_party.export import onnx_file, torchscript_file
from benchmarks.third_party.outcome import Outcome, WorkerError, call, run

OURS, PNNX_ONNX, PNNX_TORCHSCRIPT = "ours", "pnnx-onnx", "pnnx-torchscript"
CONVERTERS = (OURS, PNNX_ONNX, PNNX_TORCHSCRIPT)


@dataclass(frozen=True)
class Conversion:
    """A pair of files, or why there is none (`outcome` is OK until the files turn out not to be).

    `process_s` is the converter's whole process, `inside_s` what is left without its start and imports (ours alone).
    `inputs` and `outputs` are blobs in the ONNX file's order.
    """

    outcome: Outcome
    message: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    process_s: float = 0.0
    inside_s: float = 0.0


def convert(name: str, converter: str, exported: Path, param: Path, weights: Path) -> Conversion:
    """Convert one exported network (see `export`) with one of `CONVERTERS`, in a process of its own."""
    try:
        if converter == OURS:
            return _ours(onnx_file(exported, name), param, weights)
        source = onnx_file if converter == PNNX_ONNX else torchscript_file
        return _pnnx(source(exported, name), onnx_file(exported, name), param, weights)
    except WorkerError as error:
        return Conversion(Outcome.CRASHED, str(error))


def _ours(source: Path, param: Path, weights: Path) -> Conversion:
    start = time.perf_counter()
    found = call("ours", source, param, weights)
    seconds = time.perf_counter() - start
    if "refused" in found:
        return Conversion(Outcome.REFUSED, found["refused"], process_s=seconds)
    blobs = tuple(found["inputs"]), tuple(found["outputs"])
    return Conversion(Outcome.OK, "", *blobs, process_s=seconds, inside_s=found["seconds"])


def _pnnx(source: Path, reference: Path, param: Path, weights: Path) -> Conversion:
    """Run pnnx's binary, without the Python around it, in a folder of its own: it litters beside its source."""
    session = _session(reference)
    shapes = ",".join(f"[{','.join(map(str, value.shape))}]f32" for value in session.get_inputs())
    with tempfile.TemporaryDirectory() as temporary:
        link = Path(temporary, f"model{source.suffix}")
        link.symlink_to(source.resolve())
        start = time.perf_counter()
        process = run([pnnx_program(), link.name, f"inputshape={shapes}", "fp16=0"], Path(temporary))
        seconds = time.perf_counter() - start
        written = [Path(temporary, f"model.ncnn.{ending}") for ending in ("param", "bin")]
        if process.returncode or not all(file.is_file() for file in written):
            return Conversion(Outcome.REFUSED, f"exit code {process.returncode}", process_s=seconds)
        for file, target in zip(written, (param, weights), strict=True):
            shutil.copyfile(file, target)
    inputs = tuple(f"in{index}" for index in range(len(session.get_inputs())))
    outputs = tuple(f"out{index}" for index in range(len(session.get_outputs())))
    return Conversion(Outcome.OK, "", inputs, outputs, process_s=seconds)


def pnnx_program() -> str:
    """Return the path of pnnx's native program in its Python package."""
    found = importlib.util.find_spec("pnnx")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("pnnx is not installed: see benchmarks/third_party/requirements.txt")
    return str(Path(found.submodule_search_locations[0], "pnnx"))


def input_shapes(model: Path) -> list[tuple[int, ...]]:
    """Return the static shapes of an ONNX file's inputs."""
    return [tuple(value.shape) for value in _session(model).get_inputs()]


def _session(model: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
