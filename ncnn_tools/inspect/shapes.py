"""The shape of every blob, as ncnn finds it: the model is run once on zeros, in a process of its own.

A model file may come from anywhere, and ncnn takes what stands in it at its word; what crashes or hangs there does
not do so here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ncnn_tools.cost import BlobSize
from ncnn_tools.errors import GraphError
from ncnn_tools.files import save
from ncnn_tools.graph import Graph, Layer, Storage, Weight
from ncnn_tools.isolated import signal_text
from ncnn_tools.schema import LAYERS

Shapes = Mapping[str, tuple[int, ...]]

TIMEOUT_S = 300.0
_LARGEST = 1 << 30  # bytes of weights that are made up


@dataclass(frozen=True)
class MeasuredBlobs:
    """The sizes of the blobs that ncnn computed; `problem` says why it did not compute all, or is empty."""

    sizes: Mapping[str, BlobSize]
    problem: str = ""


def measure_blobs(graph: Graph, inputs: Shapes, timeout_s: float = TIMEOUT_S) -> MeasuredBlobs:
    """Run a graph on zeros of these shapes (ncnn's axes: no batch). Where it has unknown layers, up to those.

    Weights that the graph lacks are taken to be zero.
    """
    part = known_part(graph)
    try:
        with tempfile.TemporaryDirectory(prefix="ncnn_tools-") as folder:
            param, weights = Path(folder, "model.param"), Path(folder, "model.bin")
            save(with_weights(part), param, weights)
            return _run(part, param, weights, inputs, timeout_s)
    except (GraphError, KeyError) as error:
        return MeasuredBlobs({}, f"it breaks ncnn's rules: {error}")


def known_part(graph: Graph) -> Graph:
    """Return the layers that ncnn has and that depend on no layer that it does not have."""
    given: set[str] = set()
    layers = []
    for layer in graph.layers:
        if layer.type in LAYERS and given.issuperset(layer.inputs):
            layers.append(layer)
            given.update(layer.outputs)
    return Graph(layers)


def with_weights(graph: Graph) -> Graph:
    """Return a copy in which layers without their weights have zeros; GraphError where these would be too large."""
    result = graph.copy()
    total = 0
    for layer in result.layers:
        for spec in layer.weight_specs():
            if spec.name in layer.weights:
                continue
            total += 4 * spec.size
            if spec.size < 0 or total > _LARGEST:
                raise GraphError(f"layer {layer.name!r}: weight {spec.name!r} has {spec.size} values")
            storage = Storage.FP32 if spec.tagged else Storage.RAW
            layer.weights[spec.name] = Weight(np.zeros(spec.size, np.float32), storage)
    return result


def _run(graph: Graph, param: Path, weights: Path, inputs: Shapes, timeout_s: float) -> MeasuredBlobs:
    command = [sys.executable, "-m", "ncnn_tools.inspect.worker", str(param), str(weights)]
    # In the temporary folder, because `-m` looks for modules in the current one first.
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        command,
        cwd=param.parent,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    wanted = {blob: shape for blob, shape in inputs.items() if blob in graph.inputs}
    try:
        out, err = process.communicate(json.dumps(wanted), timeout=timeout_s)
        ending = _ending(process.returncode, err)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
        ending = f"ncnn took longer than {timeout_s:g} s"
    sizes = _sizes(out)
    missing = next((layer for layer in graph.layers if not sizes.keys() >= set(layer.outputs)), None)
    return MeasuredBlobs(sizes, _problem(missing, ending))


def _ending(code: int, err: str) -> str:
    if code < 0:
        return f"ncnn was ended by {signal_text(-code)}"
    lines = err.strip().splitlines()
    return (
        f"ncnn says {lines[-1]!r}"
        if lines
        else "ncnn gave nothing"
        if code == 0
        else "ncnn can't load the model"
    )


def _problem(missing: Layer | None, ending: str) -> str:
    return "" if missing is None else f"layer {missing.name!r} ({missing.type}) did not run: {ending}"


def _sizes(out: str) -> dict[str, BlobSize]:
    """Read the worker's lines; the last one may be broken off."""
    sizes = {}
    for line in out.splitlines():
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "shape" in found:
            sizes[found["blob"]] = BlobSize(tuple(found["shape"]), found["bits"])
    return sizes
