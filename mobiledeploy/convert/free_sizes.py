"""Whether a bundle's models are right for other picture sizes than the one that they were converted for.

Two things have to hold: every layer of the graph takes other sizes (`ncnn_tools.free_sizes`), and at a second size ncnn
gives what onnxruntime gives for the ONNX reference with that size.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from mobiledeploy.arrays import FloatArray
from mobiledeploy.convert.check import VariantCheck
from mobiledeploy.errors import ConversionError
from mobiledeploy.source.onnx_file import OnnxFile
from mobiledeploy.source.reference import open_session
from mobiledeploy.source.reference import run as run_onnx
from ncnn_tools.free_sizes import find_obstacle
from ncnn_tools.graph import Graph

# Most networks halve their maps five times at most, so that sizes in steps of 32 are halved as the first one was.
SIZE_STEP = 32


def find_free_sizes(graph: Graph, file: OnnxFile, check: VariantCheck) -> dict[str, Any]:
    """Say for the manifest whether the graph takes pictures of other sizes.

    `check` is that of the bundle; `file` holds the ONNX reference. Returns `spatial`, and either `reason` or the
    sizes `checked` (height, width) and the `step` between sizes.
    """
    if reason := find_obstacle(graph):
        return {"spatial": False, "reason": reason}
    samples = {name: _larger(array[:1]) for name, array in check.samples.items()}
    first, second = (_picture_size(arrays) for arrays in (check.samples, samples))
    at = f"at {second[0]}x{second[1]}"
    try:
        expected = run_onnx(open_session(_without_sizes(file.model, samples)), samples)
    except ConversionError as error:
        said = textwrap.shorten(error.message, 200, placeholder=" …")
        return {"spatial": False, "reason": f"the ONNX reference, as exported, does not run {at}: {said}"}
    second_check = dataclasses.replace(
        check,
        outputs={name: (check.outputs[name][0], value.shape) for name, value in expected.items()},
        samples=samples,
        expected=expected,
        matte=None,
        spatial_step=SIZE_STEP,
    )
    try:
        second_check.graph(graph)
    except ConversionError as error:
        return {"spatial": False, "reason": f"{at}: {error.message}"}
    return {"spatial": True, "checked": [first, second], "step": SIZE_STEP}


def _larger(pictures: FloatArray) -> FloatArray:
    """Continue maps below and to the right by their mirror images; other inputs stay as they are.

    By different lengths, so that height and width can't stand for each other.
    """
    if pictures.ndim != 4:
        return pictures
    return np.pad(pictures, ((0, 0), (0, 0), (0, SIZE_STEP), (0, 2 * SIZE_STEP)), "symmetric")


def _picture_size(arrays: Mapping[str, FloatArray]) -> list[int]:
    """Return the height and width of the inputs that are pictures, which are all of one size."""
    return next([*map(int, array.shape[2:])] for array in arrays.values() if array.ndim == 4)


def _without_sizes(model: onnx.ModelProto, inputs: Mapping[str, FloatArray]) -> bytes:
    """Return the model for inputs of other shapes, with nothing left in it that was inferred from the first ones."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.value_info[:]
    for value in result.graph.input:
        for dimension, size in zip(value.type.tensor_type.shape.dim, inputs[value.name].shape, strict=True):
            dimension.dim_value = size
    for value in result.graph.output:
        for dimension in value.type.tensor_type.shape.dim:
            dimension.Clear()
    return bytes(result.SerializeToString())
