"""Convert one ONNX file with this project's converter: a process of its own, for `converters`.

    python -m benchmarks.third_party.ours ONNX PARAM BIN

Prints a JSON object: `refused` (the reason) or `inputs` and `outputs` (the blobs, in the ONNX file's order) and
`seconds` from the ONNX file on disk to both files written, without the interpreter's start and the imports.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import onnx

from ncnn_tools.errors import NcnnToolsError
from ncnn_tools.files import save
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.passes import optimize


def convert(source: Path, param: Path, weights: Path) -> dict[str, Any]:
    """Convert, and write the pair of files."""
    start = time.perf_counter()
    try:
        graph = optimize(convert_onnx(onnx.load(source)))
        save(graph, param, weights)
    except NcnnToolsError as error:
        return {"refused": str(error)}
    return {"inputs": graph.inputs, "outputs": graph.outputs, "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    print(json.dumps(convert(*map(Path, sys.argv[1:4]))))
