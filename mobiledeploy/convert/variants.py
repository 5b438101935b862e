"""The ncnn models of a bundle: one graph, stored in several precisions, each compared with onnxruntime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert.converters import ForeignConverter
from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.matte import Matte
from mobiledeploy.metrics import mask_iou, max_abs, mean_abs
from mobiledeploy.progress import Progress
from mobiledeploy.source.onnx_file import OnnxFile
from mobiledeploy.source.reference import open_session
from mobiledeploy.source.reference import run as run_onnx
from ncnn_tools.errors import NcnnToolsError
from ncnn_tools.files import load, save
from ncnn_tools.graph import Graph
from ncnn_tools.half_precision import HalfMask, apply_half_masks, check_half_masks, store_as_fp16
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.passes import optimize
from ncnn_tools.quantization import check_chains


class LoadedModel(Protocol):
    """What runs ncnn models: `Runtime`, or `IsolatedRuntime` for those that have not run yet."""

    def run(self, inputs: Mapping[str, FloatArray], outputs: Iterable[str]) -> dict[str, FloatArray]:
        """Run once and return the named blobs."""
        ...


def build_graph(model: onnx.ModelProto) -> Graph:
    """Convert and optimize; ConversionError names the node that can't be converted."""
    try:
        return optimize(convert_onnx(model))
    except NcnnToolsError as error:
        raise ConversionError(
            f"can't be converted to ncnn: {error}",
            hint="Replace the operator in the network, or export it so that it does not arise.",
        ) from error


def float_graph(
    foreign: ForeignConverter | None, onnx_path: Path, file: OnnxFile, progress: Progress
) -> Graph:
    """Turn the ONNX reference, `file` at `onnx_path`, into a graph by a foreign converter, or by ours for None.

    Raises ConversionError where that can't be done.
    """
    if foreign is None:
        return build_graph(file.model)
    progress(f"converting with {foreign.name}", 0, 0)
    return foreign.convert(onnx_path, file)


def load_variant(bundle: Bundle, precision: str) -> Graph:
    """Load a variant's graph, with its outputs and the ONNX tensors that its blobs equal.

    Raises UsageError where the bundle lacks the variant, or its files are no model.
    """
    variant = bundle.variant(precision)
    try:
        graph = load(variant.param, variant.bin)
    except NcnnToolsError as error:
        raise UsageError(str(error), hint="Convert again.") from error
    graph.origins = bundle.origins(precision)
    graph.outputs = [tensor.blob for tensor in bundle.outputs]
    return graph


def make_variant(graph: Graph, precision: str, masks: Sequence[HalfMask] = ()) -> Graph:
    """Return the graph stored in a precision. For int8 it is quantized already; what could not be is kept in fp16.

    `masks` are of layers that fp16 breaks.
    """
    if precision not in ("fp16", "int8"):
        return graph
    return store_as_fp16(apply_half_masks(graph, {mask.layer: mask.bits for mask in masks}))


def write_variant(graph: Graph, folder: Path, precision: str) -> dict[str, Any]:
    """Write a variant's pair of files; returns its size and layers for the manifest."""
    param, weights = folder / f"{precision}.param", folder / f"{precision}.bin"
    check_chains(graph)
    check_half_masks(graph)
    save(graph, param, weights)
    return {
        "size_bytes": param.stat().st_size + weights.stat().st_size,
        "layers": dict(Counter(layer.type for layer in graph.layers)),
        "int8_layers": [layer.name for layer in graph.layers if _is_int8(layer.weights)],
    }


def _is_int8(weights: Mapping[str, Any]) -> bool:
    return "weight_scales" in weights


def reference_outputs(model: Path | bytes, samples: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Run onnxruntime on samples of shape (N, ...); returns (N, ...) for each output."""
    session = open_session(model)
    count = len(next(iter(samples.values())))
    runs = [
        run_onnx(session, {name: array[i : i + 1] for name, array in samples.items()}) for i in range(count)
    ]
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def ncnn_outputs(
    runtime: LoadedModel,
    blobs: Mapping[str, str],
    outputs: Mapping[str, tuple[str, tuple[int, ...]]],
    samples: Mapping[str, FloatArray],
) -> dict[str, FloatArray]:
    """Run ncnn on samples of shape (N, ...); returns (N, ...) for each output, in its ONNX shape.

    `blobs` maps inputs to blobs, `outputs` maps outputs to (blob, ONNX shape with a batch of 1).
    """
    count = len(next(iter(samples.values())))
    wanted = [blob for blob, _ in outputs.values()]
    runs = [
        runtime.run({blobs[name]: array[i] for name, array in samples.items()}, wanted) for i in range(count)
    ]
    return {
        name: np.concatenate([run[blob].reshape(shape) for run in runs])
        for name, (blob, shape) in outputs.items()
    }


def parity(
    outputs: Mapping[str, FloatArray], reference: Mapping[str, FloatArray], matte: Matte | None
) -> dict[str, Any]:
    """Compare outputs with the reference's: max and mean |difference| for each, and the mask's IoU."""
    figures: dict[str, Any] = {
        "outputs": {
            name: {"max_abs": max_abs(outputs[name], expected), "mean_abs": mean_abs(outputs[name], expected)}
            for name, expected in reference.items()
        }
    }
    if matte is not None:
        figures["mask_iou"] = mask_iou(matte.alpha(outputs), matte.alpha(reference))
    return figures
