"""The inputs that a bundle is calibrated on and judged by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle
from mobiledeploy.errors import UsageError
from mobiledeploy.preprocessing import Preprocessing, list_images, read_npy
from mobiledeploy.source.reference import TensorSpec

KEPT = 4  # samples that travel in the bundle: enough to see that a variant is right, small to push
_NOISE_SEED = 20261020


class Inputs(Protocol):
    """What a network is calibrated on: inputs that are loaded one by one, by their place in the order."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The network's inputs."""
        ...

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How pictures became inputs, if they did."""
        ...

    def __len__(self) -> int: ...

    def name(self, place: int) -> str:
        """Say which input it is."""
        ...

    def sample(self, place: int) -> dict[str, FloatArray]:
        """Load it: input name → float32 array of the input's ONNX shape (batch of 1)."""
        ...


@dataclass(frozen=True)
class InputData:
    """The files that feed a network, or none: then noise takes their place, and says so in the manifest."""

    inputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing | None
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def name(self, place: int) -> str:
        """Return a file's name."""
        return self.files[place].name

    def sample(self, place: int) -> dict[str, FloatArray]:
        """Load a file: input name → float32 array of the input's ONNX shape (batch of 1)."""
        return {self.inputs[0].name: self._read(self.files[place])}

    def load(self) -> Iterator[dict[str, FloatArray]]:
        """Yield one sample a file, as `sample` does."""
        return map(self.sample, range(len(self)))

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
        chosen = [self.sample(place) for place in spread(len(self), KEPT)]
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


@dataclass(frozen=True)
class KeptInputs:
    """The samples that travel in a bundle, (N, ...) for each input."""

    inputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing | None
    arrays: Mapping[str, FloatArray]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def name(self, place: int) -> str:
        """Return a sample's number."""
        return f"sample {place}"

    def sample(self, place: int) -> dict[str, FloatArray]:
        """Return one sample: input name → float32 array of the input's ONNX shape (batch of 1)."""
        return {name: array[place : place + 1] for name, array in self.arrays.items()}


def kept_inputs(bundle: Bundle) -> KeptInputs:
    """Read a bundle's samples; UsageError where they are not what the network takes."""
    specs = tuple(TensorSpec(tensor.name, tensor.shape) for tensor in bundle.inputs)
    arrays = {name: read_npy(path) for name, path in bundle.samples().items()}
    for spec in specs:
        array = arrays[spec.name]
        if array.dtype != np.float32 or not len(array) or array.shape[1:] != spec.shape[1:]:
            raise UsageError(
                f"{bundle.samples()[spec.name]}: {array.dtype} of shape {array.shape}; "
                f"the network takes float32 {spec.shape}",
                hint="Convert again.",
            )
    # Copies: the files are mapped, and may be replaced.
    return KeptInputs(specs, bundle.preprocessing, {name: np.array(array) for name, array in arrays.items()})


def spread(count: int, most: int) -> list[int]:
    """Return at most `most` places of `count`, evenly spaced, the first and the last among them."""
    places: list[int] = np.unique(np.linspace(0, count - 1, most).round().astype(int)).tolist()
    return places


def input_data(
    inputs: Sequence[TensorSpec], preprocessing: Preprocessing | None, calibration: Path | None
) -> InputData:
    """Find what feeds a network: a folder's files, or noise; UsageError where that does not fit its inputs."""
    if preprocessing is not None:
        wanted = (1, 3, *preprocessing.size)
        if len(inputs) != 1 or inputs[0].shape != wanted:
            shapes = ", ".join(str(spec.shape) for spec in inputs)
            raise UsageError(f"preprocessing gives pictures of shape {wanted}; the network takes {shapes}")
    if calibration is None:
        return InputData(tuple(inputs), preprocessing)
    if len(inputs) != 1:
        raise UsageError(f"calibration is for networks of one input; this one has {len(inputs)}")
    return InputData(tuple(inputs), preprocessing, tuple(list_images(calibration)))
