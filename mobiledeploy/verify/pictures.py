"""What a bundle is verified on: a folder of pictures, perhaps with the true mattes, or the bundle's own samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert.samples import InputData
from mobiledeploy.errors import UsageError
from mobiledeploy.preprocessing import INTERPOLATIONS, list_images, read_image
from mobiledeploy.source.reference import TensorSpec


@dataclass(frozen=True)
class Picture:
    """The inputs (name → float32 of the ONNX shape, batch of 1) made of one picture.

    `truth` is its true matte, H x W in 0..1, at the size of the network's mask; None where it is not known.
    """

    name: str
    inputs: Mapping[str, FloatArray]
    truth: FloatArray | None = None


@dataclass(frozen=True)
class Pictures:
    """Pictures in order, read one by one as `items` is gone through. `source` is a folder, or "samples"."""

    source: str
    count: int
    items: Iterable[Picture]


def sample_pictures(bundle: Bundle) -> Pictures:
    """Return the few inputs that travel in the bundle."""
    samples: dict[str, FloatArray] = {name: np.load(path) for name, path in bundle.samples().items()}
    count = len(next(iter(samples.values())))
    items = [
        Picture(f"sample {i}", {name: array[i : i + 1] for name, array in samples.items()})
        for i in range(count)
    ]
    return Pictures("samples", count, items)


def folder_pictures(bundle: Bundle, folder: Path) -> Pictures:
    """Return the pictures of a folder, in natural order, through the bundle's preprocessing.

    NAME_alpha.png beside a picture NAME.jpg is its true matte. Raises UsageError where the folder has no pictures,
    the network takes several inputs, or, while they are gone through, a file is damaged or does not fit.
    """
    if len(bundle.inputs) != 1:
        raise UsageError(
            f"{bundle.path}: takes {len(bundle.inputs)} inputs; pictures are for networks of one",
            hint="Leave --images out to verify it on its own samples.",
        )
    files = list_images(folder)
    return Pictures(str(folder), len(files), _read_all(bundle, files))


def _read_all(bundle: Bundle, files: list[Path]) -> Iterator[Picture]:
    specs = tuple(TensorSpec(tensor.name, tensor.shape) for tensor in bundle.inputs)
    inputs = InputData(specs, bundle.preprocessing, tuple(files)).load()
    for file, values in zip(files, inputs, strict=True):
        yield Picture(file.name, values, _truth_of(bundle, file))


def _truth_of(bundle: Bundle, file: Path) -> FloatArray | None:
    """Read the matte beside a picture, squeezed to the mask's size as the picture is to the input's."""
    beside = file.with_name(f"{file.stem}_alpha.png")
    if bundle.mask is None or not beside.is_file():
        return None
    matte = np.ascontiguousarray(read_image(beside)[:, :, 0])
    if file.suffix.lower() != ".npy" and (picture := read_image(file)).shape[:2] != matte.shape:
        sizes = [f"{array.shape[1]}x{array.shape[0]}" for array in (picture, matte)]
        raise UsageError(f"{beside}: is {sizes[1]} pixels, but {file.name} is {sizes[0]}")
    height, width = next(tensor.shape for tensor in bundle.outputs if tensor.name == bundle.mask)[-2:]
    resample = INTERPOLATIONS[bundle.preprocessing.interpolation if bundle.preprocessing else "bilinear"]
    squeezed = Image.fromarray(matte)
    if matte.shape != (height, width):
        squeezed = squeezed.resize((width, height), resample)
    truth: FloatArray = np.asarray(squeezed, np.float32) / np.float32(255)
    return truth
