"""The inputs that a bundle is calibrated on and judged by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.convert.request import ConvertRequest
from mobiledeploy.errors import UsageError
from mobiledeploy.preprocessing import Preprocessing, list_images, read_npy
from mobiledeploy.source.reference import TensorSpec

KEPT = 4  # samples that travel in the bundle: enough to see that a variant is right, small to push
_NOISE_SEED = 20261020


@dataclass(frozen=True)
class InputData:
    """The files that feed a network, or none: then noise takes their place, and says so in the manifest."""

    inputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing | None
    files: tuple[Path, ...] = ()

    def load(self, files: Sequence[Path] | None = None) -> Iterator[dict[str, FloatArray]]:
        """Yield one sample a file: input name → float32 array of the input's ONNX shape (batch of 1)."""
        for file in self.files if files is None else files:
            yield {self.inputs[0].name: self._read(file)}

    def _read(self, file: Path) -> FloatArray:
        shape = self.inputs[0].shape
        if self.preprocessing is not None:
            return self.preprocessing.load(file)
        if file.suffix.lower() != ".npy":
            raise UsageError(
                f"{file}: how does this picture become the network's input?",
                hint="Give --mean, --scale and --color, or a TOML file with [preprocessing].",
            )
        array = read_npy(file)
        if array.dtype != np.float32 or array.shape not in (shape, shape[1:]):
            raise UsageError(
                f"{file}: {array.dtype} of shape {array.shape}; the network takes float32 {shape}"
            )
        return np.array(array.reshape(shape), order="C")  # a copy: the file may change later

    def kept_samples(self) -> dict[str, FloatArray]:
        """Return the samples for the bundle, (N, ...) for each input: evenly spaced over the files, else noise."""
        if not self.files:
            return self._noise()
        places = np.unique(np.linspace(0, len(self.files) - 1, KEPT).round().astype(int))
        chosen = list(self.load([self.files[place] for place in places]))
        return {spec.name: np.concatenate([sample[spec.name] for sample in chosen]) for spec in self.inputs}

    def _noise(self) -> dict[str, FloatArray]:
        generator = np.random.default_rng(_NOISE_SEED)
        if self.preprocessing is not None:
            height, width = self.preprocessing.size
            grey = generator.integers(0, 256, (KEPT, height, width, 3), np.uint8)
            return {self.inputs[0].name: np.concatenate([self.preprocessing.tensor(image) for image in grey])}
        return {
            spec.name: np.concatenate(
                [generator.standard_normal(spec.shape, np.float32) for _ in range(KEPT)]
            )
            for spec in self.inputs
        }

    def facts(self) -> dict[str, Any]:
        """Say in the manifest where the samples come from."""
        return {"source": "calibration" if self.files else "noise", "images": len(self.files)}


def input_data(request: ConvertRequest, inputs: Sequence[TensorSpec]) -> InputData:
    """Find what feeds a network; UsageError where the request does not fit its inputs."""
    preprocessing = request.preprocessing
    if preprocessing is not None:
        wanted = (1, 3, *preprocessing.size)
        if len(inputs) != 1 or inputs[0].shape != wanted:
            shapes = ", ".join(str(spec.shape) for spec in inputs)
            raise UsageError(f"preprocessing gives pictures of shape {wanted}; the network takes {shapes}")
    if request.calibration is None:
        return InputData(tuple(inputs), preprocessing)
    if len(inputs) != 1:
        raise UsageError(f"calibration is for networks of one input; this one has {len(inputs)}")
    return InputData(tuple(inputs), preprocessing, tuple(list_images(request.calibration)))
