"""ONNX files: one brought by a person is checked, made self-contained and given static shapes; writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError, EncodeError  # type: ignore[import-untyped]

from mobiledeploy.errors import ConversionError, MobileDeployError, UsageError
from mobiledeploy.source.external_data import embed_external_data
from mobiledeploy.source.reference import TensorSpec, open_session, random_inputs, run
from ncnn_tools.files import write_atomically
from ncnn_tools.onnx2ncnn import is_quantized

MAX_BYTES = (1 << 31) - 1  # of the model with its weights: protobuf's limit for one message
MIN_OPSET = 7  # the oldest that onnxruntime supports, by its compatibility page


@dataclass(frozen=True)
class OnnxFile:
    """A checked model with all weights inside it, and its inputs and outputs in order, with static shapes."""

    model: onnx.ModelProto
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def load_onnx(path: Path, input_shapes: Sequence[Sequence[int]] | None = None) -> OnnxFile:
    """Load and check an ONNX file, and run it once.

    Args:
        path: the .onnx file. Weights in separate files are read where these lie in its folder or below.
        input_shapes: one shape an input, in the model's order. Needed where the model leaves dimensions open;
            fixed dimensions must agree.

    Raises:
        UsageError: no such file, or the shapes given don't fit the model, or are needed and not given.
        ConversionError: the file is not a valid model, is too large, points outside its folder, has an opset
            that is not supported, has inputs that are not float32, or does not run.
    """
    model = _parse(path)
    embed_external_data(model, path, limit=MAX_BYTES)
    _check_opset(model, path)
    _drop_initializers_from_inputs(model.graph)
    _check_valid(model, path)
    inputs = _static_inputs(model, path, input_shapes)
    outputs = _static_outputs(model, path, inputs)
    return OnnxFile(model, inputs, outputs)


def read_onnx(path: Path, input_shapes: Sequence[Sequence[int]] | None = None) -> onnx.ModelProto:
    """Read an ONNX file to look at it: not checked, not run, weights in separate files left there.

    Args:
        path: the .onnx file.
        input_shapes: as in `load_onnx`.

    Raises:
        UsageError: as in `load_onnx`.
        ConversionError: the file is not an ONNX model, or is too large.
    """
    model = _parse(path)
    _drop_initializers_from_inputs(model.graph)
    _fix_inputs(model, path, input_shapes)
    return model


def is_qdq(path: Path) -> bool:
    """Say whether a file is an ONNX model that says how it is to be quantized; False for what can't be read."""
    try:
        return is_quantized(_parse(path))
    except MobileDeployError:
        return False


def save_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Write `model` to `path` as one file, whole or not at all.

    Raises:
        ConversionError: the model with its weights is too large for one protobuf message.
    """
    try:
        content = model.SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise ConversionError(f"{path}: the model is too large for one ONNX file (2 GiB)") from error
    write_atomically(path, content)


def _parse(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ConversionError(f"{path}: {size} bytes; an ONNX file has at most {MAX_BYTES}")
    try:
        model = onnx.load_model(path, load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise _not_onnx(path) from error
    if not model.ir_version or not model.graph.node:  # protobuf parses an empty file without complaint
        raise _not_onnx(path)
    return model


def _not_onnx(path: Path) -> ConversionError:
    return ConversionError(
        f"{path}: not an ONNX model, or truncated",
        hint="Check that the download is complete (not a Git LFS pointer or a web page).",
    )


def _check_opset(model: onnx.ModelProto, path: Path) -> None:
    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and not MIN_OPSET <= opset.version <= newest:
            raise ConversionError(
                f"{path}: opset {opset.version} is not supported ({MIN_OPSET} to {newest} are)",
                hint="Export it again with opset_version=18.",
            )


def _check_valid(model: onnx.ModelProto, path: Path) -> None:
    outputs = [value.type.tensor_type for value in model.graph.output if value.type.HasField("tensor_type")]
    for tensor in outputs:
        # The checker insists on shapes that exporters leave out; what they are is found by running the model.
        tensor.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, EncodeError) as error:
        raise ConversionError(
            f"{path}: not a valid ONNX model: {str(error).strip().splitlines()[0]}",
            hint="Export it again from the framework it came from.",
        ) from error
    for tensor in outputs:
        tensor.ClearField("shape")


def _drop_initializers_from_inputs(graph: onnx.GraphProto) -> None:
    # Before IR version 4 every weight had to be listed as an input as well.
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)


def _static_inputs(
    model: onnx.ModelProto, path: Path, shapes: Sequence[Sequence[int]] | None
) -> tuple[TensorSpec, ...]:
    for value in model.graph.input:
        _require_float(path, value)
    _fix_inputs(model, path, shapes)
    return tuple(TensorSpec(value.name, _static_shape(value)) for value in model.graph.input)


def _fix_inputs(model: onnx.ModelProto, path: Path, shapes: Sequence[Sequence[int]] | None) -> None:
    """Write the given shapes into the inputs, or else see that theirs are static."""
    values = list(model.graph.input)
    if shapes is None:
        _require_static(path, values)
        return
    if len(shapes) != len(values):
        names = ", ".join(value.name for value in values)
        raise UsageError(f"{path}: {len(shapes)} input shapes given, the model has {len(values)} ({names})")
    for value, shape in zip(values, shapes, strict=True):
        _require_agreement(path, value, shape)
        for dimension, extent in zip(value.type.tensor_type.shape.dim, shape, strict=True):
            dimension.dim_value = extent
    del model.graph.value_info[:]  # inferred for other shapes


def _require_float(path: Path, value: onnx.ValueInfoProto) -> None:
    if not value.type.HasField("tensor_type"):
        raise ConversionError(f"{path}: the input {value.name!r} is a sequence or map, not a tensor")
    element = value.type.tensor_type.elem_type
    if element != onnx.TensorProto.FLOAT:
        names = {number: name for name, number in onnx.TensorProto.DataType.items()}
        raise ConversionError(
            f"{path}: the input {value.name!r} is {names.get(element, 'of an unknown type')}, not float32",
            hint="Export the model with float32 inputs.",
        )


def _require_static(path: Path, values: Sequence[onnx.ValueInfoProto]) -> None:
    dynamic = [f"{value.name}: {_shape_text(value)}" for value in values if not _is_static(value)]
    if dynamic:
        raise UsageError(
            f"{path}: the model leaves dimensions open ({'; '.join(dynamic)})",
            hint="Give the shape to convert for, e.g. --input-shape 1x3x256x256 (once an input, in this order).",
        )


def _require_agreement(path: Path, value: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    dimensions = value.type.tensor_type.shape.dim
    agrees = len(shape) == len(dimensions) and all(
        extent > 0 and (not dimension.HasField("dim_value") or dimension.dim_value == extent)
        for dimension, extent in zip(dimensions, shape, strict=True)
    )
    if not agrees:
        given = "x".join(str(extent) for extent in shape)
        raise UsageError(
            f"{path}: the input {value.name!r} is {_shape_text(value)}, which {given} does not fit"
        )


def _is_static(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and all(
        dimension.HasField("dim_value") and dimension.dim_value > 0 for dimension in tensor.shape.dim
    )


def _static_shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)


def _shape_text(value: onnx.ValueInfoProto) -> str:
    if not value.type.tensor_type.HasField("shape"):
        return "of unknown rank"
    extents = [
        str(dimension.dim_value) if dimension.HasField("dim_value") else dimension.dim_param or "?"
        for dimension in value.type.tensor_type.shape.dim
    ]
    return "x".join(extents) or "scalar"


def _static_outputs(
    model: onnx.ModelProto, path: Path, inputs: tuple[TensorSpec, ...]
) -> tuple[TensorSpec, ...]:
    """Write the outputs' shapes into the model, as one inference finds them: inference by rules may stop."""
    try:
        results = run(open_session(model.SerializeToString()), random_inputs(inputs, seed=0))
    except MobileDeployError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error
    for value in model.graph.output:
        result = results[value.name]
        if not isinstance(result, np.ndarray) or result.dtype != np.float32:
            raise ConversionError(f"{path}: the output {value.name!r} is not a float32 tensor")
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, result.shape))
    return tuple(TensorSpec(name, tuple(result.shape)) for name, result in results.items())
