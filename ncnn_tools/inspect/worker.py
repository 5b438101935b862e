"""Run a model once on zeros, and print each blob's shape as soon as it is there. `shapes` starts this program.

    python -m ncnn_tools.inspect.worker MODEL.param MODEL.bin < {"input": [3, 224, 224], …}

Each line of stdout is a JSON object with `blob`, and `shape` and `bits` (of one value) or `code`, ncnn's complaint.
What the model does to this process is nobody else's problem.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import IO

import ncnn
import numpy as np

from ncnn_tools.isolated_worker import limit_resources, take_standard_output


def main() -> int:
    """Print the blobs; returns 1 where ncnn can't load the model."""
    limit_resources()
    answers = take_standard_output("w")
    param, weights = sys.argv[1:]
    net = ncnn.Net()
    net.opt.lightmode = True  # each blob goes when it is read, so that large networks fit
    net.opt.use_packing_layout = False  # the shapes are then the blobs' own
    net.opt.use_winograd_convolution = False
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(param) != 0 or net.load_model(weights) != 0:
        return 1
    _extract_all(net, json.load(sys.stdin), answers)
    return 0


def _extract_all(net: ncnn.Net, inputs: Mapping[str, Sequence[int]], answers: IO[str]) -> None:
    """Extract every blob in the file's order: its readers come later, so that none is gone yet."""
    extractor = net.create_extractor()
    for name, shape in inputs.items():
        zeros = np.zeros(shape, np.float32)  # has to live until it is cloned: a Mat does not hold its array
        extractor.input(name, ncnn.Mat(zeros).clone())
    for blob in net.blobs():
        code, mat = extractor.extract(blob.name, 1)  # 1: as it is, not converted to float
        known = code == 0 and not mat.empty()
        found = {"shape": _shape(mat), "bits": mat.elembits()} if known else {"code": code}
        print(json.dumps({"blob": blob.name, **found}), file=answers, flush=True)
        del mat  # or a layer in place would have to copy it


def _shape(mat: ncnn.Mat) -> list[int]:
    axes = {1: (mat.w,), 2: (mat.h, mat.w), 3: (mat.c, mat.h, mat.w), 4: (mat.c, mat.d, mat.h, mat.w)}[
        mat.dims
    ]
    return [axes[0] * mat.elempack, *axes[1:]]


if __name__ == "__main__":
    sys.exit(main())
