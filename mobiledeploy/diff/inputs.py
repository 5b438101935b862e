"""The one input that both models get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert.samples import InputData
from mobiledeploy.diff.source import Source
from mobiledeploy.errors import UsageError
from mobiledeploy.preprocessing import Preprocessing
from mobiledeploy.source.reference import TensorSpec, random_inputs

_SEED = 0


@dataclass(frozen=True)
class Inputs:
    """An array for each input, in order and of its ONNX shape (batch of 1), and in words where they come from."""

    arrays: tuple[FloatArray, ...]
    description: str


def file_inputs(
    files: Sequence[Path], specs: Sequence[TensorSpec], preprocessing: Preprocessing | None
) -> Inputs:
    """Read pictures or .npy files, one an input; UsageError for a file that does not fit."""
    if len(files) != len(specs):
        names = ", ".join(spec.name for spec in specs)
        raise UsageError(
            f"{len(files)} input files given; the network takes {len(specs)} ({names})",
            hint="Give --input once an input, in this order.",
        )
    arrays = [
        next(InputData((spec,), preprocessing, (file,)).load())[spec.name]
        for spec, file in zip(specs, files, strict=True)
    ]
    return Inputs(tuple(arrays), ", ".join(str(file) for file in files))


def sample_inputs(bundle: Bundle) -> Inputs:
    """Return the first of the samples that travel in a bundle."""
    paths = bundle.samples()
    arrays = [np.load(paths[tensor.name])[:1] for tensor in bundle.inputs]
    return Inputs(tuple(arrays), f"the first sample of {bundle.path}")


def noise_inputs(specs: Sequence[TensorSpec]) -> Inputs:
    """Return standard normal noise, the same each time."""
    arrays = random_inputs(specs, _SEED)
    return Inputs(tuple(arrays[spec.name] for spec in specs), f"standard normal noise (seed {_SEED})")


def check_inputs(a: Source, b: Source, inputs: Inputs) -> None:
    """Raise UsageError unless both models take these inputs; names may differ, the order counts."""
    given = [array.shape for array in inputs.arrays]
    for source in (a, b):
        wanted = [spec.shape for spec in source.inputs]
        if wanted != given:
            raise UsageError(
                f"{source.label} takes inputs of shape {_shapes(wanted)}, and the other side {_shapes(given)}",
                hint="Both must take the same input: export or convert them for one shape.",
            )


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join("x".join(str(extent) for extent in shape) for shape in shapes)
