"""What each calibration method and number of pictures does to int8: error against fp32, on pictures not calibrated on.

    python benchmarks/calibration_methods.py BUNDLE --calibration DIR --images DIR [--counts 8,32]

Weights are quantized alike for all. `halves differ` is the median over blobs of how far the thresholds of one half of
the pictures are from those of the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.metrics import mask_iou, mean_abs
from mobiledeploy.preprocessing import list_images
from ncnn_tools.calibration import collect_statistics, half_differences, threshold
from ncnn_tools.files import load
from ncnn_tools.graph import Graph
from ncnn_tools.quantization import quantizable_layers, quantize
from ncnn_tools.runtime import Runtime

METHODS = ("absmax", "percentile:99.9", "percentile:99.99", "percentile:99.999", "kl", "mse", "cosine")


def pictures(bundle: Bundle, folder: Path) -> list[FloatArray]:
    """Load pictures as inputs without batch."""
    assert bundle.preprocessing
    return [bundle.preprocessing.load(file)[0] for file in list_images(folder)]


def mattes(bundle: Bundle, graph: Graph, inputs: list[FloatArray]) -> FloatArray:
    """Run a graph on all pictures; returns alpha (N, H, W)."""
    runtime, matte = Runtime.from_graph(graph), bundle.matte
    assert matte
    (output,) = [tensor for tensor in bundle.outputs if tensor.name == matte.output]
    values = [
        runtime.run({bundle.inputs[0].blob: one}, [output.blob])[output.blob].reshape(output.shape)
        for one in inputs
    ]
    return matte.alpha({output.name: np.concatenate(values)})


def main() -> None:
    """Print a row for each number of pictures and method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--counts", default="")
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    fp32 = bundle.variant("fp32")
    graph = load(fp32.param, fp32.bin)
    blobs = sorted({layer.inputs[0] for layer in quantizable_layers(graph)})
    known, unseen = pictures(bundle, options.calibration), pictures(bundle, options.images)
    expected = mattes(bundle, graph, unseen)
    print("| calibrated on | method | halves differ | alpha MAE | mask IoU | worst IoU |")
    print("|---:|---|---:|---:|---:|---:|")
    for count in [int(text) for text in options.counts.split(",") if text] or [len(known)]:
        samples = [{bundle.inputs[0].blob: one} for one in known[:count]]
        calibration = collect_statistics(graph, samples, blobs)
        for method in METHODS:
            thresholds = {blob: threshold(calibration[blob], method) for blob in blobs}
            alpha = mattes(bundle, quantize(graph, thresholds), unseen)
            ious = [mask_iou(alpha[i : i + 1], expected[i : i + 1]) for i in range(len(alpha))]
            differ = float(np.median(list(half_differences(calibration, method).values())))
            cells = [str(len(samples)), method, f"{differ:.1%}", f"{mean_abs(alpha, expected):.4f}"]
            print(f"| {' | '.join([*cells, f'{np.mean(ious):.4f}', f'{min(ious):.3f}'])} |", flush=True)


if __name__ == "__main__":
    main()
