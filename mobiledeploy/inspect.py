"""What is in a model: an ONNX file, an ncnn model, or the variants of a bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.convert.request import Shape
from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.source.external_data import external_files
from mobiledeploy.source.onnx_file import load_onnx, read_onnx, save_onnx
from mobiledeploy.source.simplify import simplify_onnx
from ncnn_tools.errors import FormatError, NcnnToolsError
from ncnn_tools.inspect import (
    FreeInputsError,
    ModelFacts,
    PassFacts,
    inspect_model,
    inspect_onnx,
    list_passes,
    read_model,
)

Shapes = Sequence[Shape]


def inspect_file(path: Path, input_shapes: Shapes | None = None) -> ModelFacts:
    """Return the facts of an .onnx or .param file; the weights of a .param are in the .bin beside it, if it is there.

    `input_shapes` are one an input, with a batch of 1, where the file leaves sizes free.

    Raises UsageError for a file that is neither, is malformed or truncated, or needs other shapes,
    and ConversionError for an ONNX file that can't be read.
    """
    if path.suffix.lower() == ".onnx":
        model = read_onnx(path, input_shapes)
        files = {path, *external_files(model, path)}
        return inspect_onnx(model, sum(file.stat().st_size for file in files))
    if path.suffix.lower() != ".param":
        raise UsageError(
            f"{path}: not a model that can be inspected",
            hint="Give an .onnx file, a .param file or a bundle.",
        )
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    weights = path.with_suffix(".bin")
    return _inspect_pair(path, weights if weights.is_file() else None, input_shapes)


def inspect_bundle(
    bundle: Bundle, precisions: Sequence[str] | None = None, input_shapes: Shapes | None = None
) -> dict[str, ModelFacts]:
    """Return the facts of a bundle's variants (by default of all), by precision.

    Raises UsageError for a variant that the bundle lacks.
    """
    variants = [bundle.variant(precision) for precision in precisions or bundle.variants]
    shapes = input_shapes or [tensor.shape for tensor in bundle.inputs]
    outputs = [tensor.blob for tensor in bundle.outputs]
    return {
        variant.precision: _inspect_pair(variant.param, variant.bin, shapes, outputs) for variant in variants
    }


def passes_of(path: Path | None, input_shapes: Shapes | None = None) -> list[PassFacts]:
    """Return the graph passes; with an .onnx file or a bundle, how often each applies when that is converted.

    Raises UsageError for other files, and ConversionError where the model can't be converted.
    """
    if path is None:
        return list_passes()
    if path.is_dir():
        model = load_onnx(open_bundle(path).onnx)
    elif path.suffix.lower() == ".onnx":
        with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as folder:  # as `convert` reads it
            raw, simplified = Path(folder, "raw.onnx"), Path(folder, "simplified.onnx")
            save_onnx(load_onnx(path, input_shapes).model, raw)
            simplify_onnx(raw, simplified)
            model = load_onnx(simplified)
    else:
        raise UsageError(
            f"{path}: passes apply when an ONNX model is converted", hint="Give an .onnx file or a bundle."
        )
    try:
        return list_passes(model.model)
    except NcnnToolsError as error:
        raise ConversionError(f"{path}: can't be converted to ncnn: {error}") from error


def _inspect_pair(
    param: Path, weights: Path | None, shapes: Shapes | None, outputs: Sequence[str] | None = None
) -> ModelFacts:
    try:
        graph, notes = read_model(param, weights)
        inputs = {
            blob: _without_batch(param, shape)
            for blob, shape in zip(graph.inputs, _matching(param, graph.inputs, shapes), strict=False)
        }
        size = sum(file.stat().st_size for file in (param, weights) if file is not None)
        return inspect_model(graph, inputs, file_bytes=size, outputs=outputs, notes=notes)
    except FreeInputsError as error:
        raise UsageError(
            f"{param}: {error}",
            hint="Give the shape to inspect it at, e.g. --input-shape 1x3x256x256 (once an input, in this order).",
        ) from error
    except FormatError as error:
        raise UsageError(
            str(error), hint="Check that both files are complete, and of the same model."
        ) from error
    except NcnnToolsError as error:
        raise UsageError(f"{param}: {error}") from error


def _matching(param: Path, inputs: Sequence[str], shapes: Shapes | None) -> Shapes:
    if shapes is not None and len(shapes) != len(inputs):
        names = ", ".join(map(repr, inputs))
        raise UsageError(f"{param}: {len(shapes)} input shapes given, the model has {len(inputs)} ({names})")
    return shapes or ()


def _without_batch(param: Path, shape: Shape) -> Shape:
    if shape[0] != 1 or not 2 <= len(shape) <= 5:
        text = "x".join(map(str, shape))
        raise UsageError(f"{param}: {text} is not a batch of 1 and one to four axes, which ncnn takes")
    return shape[1:]
