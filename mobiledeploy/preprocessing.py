"""The one description of how a picture becomes a network's input; calibration, verification and the phone use it.

    tensor = (resized - mean) * scale          per channel, in grey levels 0..255

Resizing is pillow's, on 8-bit pixels, to the exact size (the aspect ratio is not kept, nothing is cropped):
bilinear and bicubic widen their filter when they shrink a picture (antialiasing), so that every source pixel
counts; OpenCV's and Android's plain bilinear filters skip pixels instead, and give another picture from a
factor of two on. An app must feed the network what this module computes: the benchmark sends these very bytes.
Pictures that already have the network's size are not resampled at all.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mobiledeploy.arrays import FloatArray, UInt8Array
from mobiledeploy.errors import UsageError
from mobiledeploy.toml_file import read_toml

COLORS = ("rgb", "bgr")
# `area` averages the source pixels under each target pixel (pillow's box filter).
INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
}
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".npy")

_GREY16_TO_GREY8 = 257  # 65535 / 255
_MAX_EXTENT = 1 << 14  # of the network's input; keeps a wrong size from taking all memory


@dataclass(frozen=True)
class Preprocessing:
    """From an RGB picture of any size to a float32 tensor of shape 1x3xHxW.

    Attributes:
        size: (height, width) of the network's input, in pixels.
        color: order of the channels, "rgb" or "bgr".
        mean: subtracted, in grey levels 0..255, one number a channel in the order of `color`.
        scale: multiplied after that, in the same order; 1/255 gives the range 0..1 where the mean is 0.
        interpolation: a key of `INTERPOLATIONS`.

    Raises:
        UsageError: a value is out of range; the message names it.
    """

    size: tuple[int, int]
    color: str = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1 / 255, 1 / 255, 1 / 255)
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        _require_size(self.size)
        _require_choice("color", self.color, COLORS)
        _require_choice("interpolation", self.interpolation, tuple(INTERPOLATIONS))
        for key in ("mean", "scale"):
            values = getattr(self, key)
            if len(values) != 3 or not all(np.isfinite(value) for value in values):
                raise UsageError(f"preprocessing: {key} must be three finite numbers, not {values!r}")
        if 0.0 in self.scale:
            raise UsageError("preprocessing: scale must not be 0, which would erase the picture")

    @classmethod
    def from_toml(cls, path: Path, size: tuple[int, int]) -> Preprocessing:
        """Read the table `[preprocessing]` of a TOML file; `mean` and `scale` are one number or three.

        Keys that are not there have their defaults; other tables in the file are left alone.

        Raises:
            UsageError: the file can't be read, has no such table, or a key is unknown or has a bad value.
        """
        document = read_toml(path)
        table = document.get("preprocessing")
        if not isinstance(table, dict):
            raise UsageError(f"{path}: has no table [preprocessing]")
        if "size" in table:
            raise UsageError(f"{path}: size does not belong here; the input shape gives it")
        try:
            return cls.from_json({**table, "size": list(size)})
        except UsageError as error:
            raise UsageError(f"{path}: {error.message}", hint=error.hint) from error

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Preprocessing:
        """Build it from the dictionary that `to_json` gives.

        Raises:
            UsageError: a key is missing, unknown, or has a bad value; the message names it.
        """
        known = tuple(cls.__dataclass_fields__)
        for key in document:
            if key not in known:
                raise UsageError(f"preprocessing: unknown key {key!r}", hint=f"Known: {', '.join(known)}.")
        values: dict[str, Any] = dict(document)
        values["size"] = _size(document.get("size"))
        for key in ("mean", "scale"):
            if key in document:
                values[key] = _three(key, document[key])
        return cls(**values)

    def to_json(self) -> dict[str, object]:
        """Return the description as plain lists, numbers and strings, for the manifest."""
        return {
            "size": list(self.size),
            "color": self.color,
            "mean": list(self.mean),
            "scale": list(self.scale),
            "interpolation": self.interpolation,
        }

    def tensor(self, image: UInt8Array) -> FloatArray:
        """Return the network's input (float32, 1x3xHxW, contiguous) for an RGB picture (uint8, HxWx3).

        Raises:
            UsageError: the array is not such a picture.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise UsageError(f"a picture must be uint8 of shape HxWx3, not {image.dtype} of {image.shape}")
        height, width = self.size
        if image.shape[:2] != self.size:
            resample = INTERPOLATIONS[self.interpolation]
            image = np.asarray(Image.fromarray(image).resize((width, height), resample))
        if self.color == "bgr":
            image = image[:, :, ::-1]
        mean, scale = np.array(self.mean, np.float32), np.array(self.scale, np.float32)
        values = (image.astype(np.float32) - mean) * scale
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])

    def picture(self, tensor: FloatArray) -> UInt8Array:
        """Return the RGB picture (uint8, HxWx3) that a tensor (3xHxW) was made of, clipped to grey levels."""
        mean, scale = np.array(self.mean), np.array(self.scale)
        grey: UInt8Array = np.clip(np.rint(tensor.transpose(1, 2, 0) / scale + mean), 0, 255).astype(np.uint8)
        return grey[:, :, ::-1] if self.color == "bgr" else grey

    def load(self, path: Path) -> FloatArray:
        """Return the network's input for a picture file, or for a .npy file.

        A .npy file holds a picture (uint8, HxWx3, RGB) or a tensor that is already preprocessed (float32,
        1x3xHxW or 3xHxW of the network's size).

        Raises:
            UsageError: the file is missing, damaged, or not of a kind that can be read.
        """
        if path.suffix.lower() != ".npy":
            return self.tensor(read_image(path))
        array = read_npy(path)
        if array.dtype == np.uint8:
            try:
                return self.tensor(array)
            except UsageError as error:
                raise UsageError(f"{path}: {error.message}") from error
        wanted = (1, 3, *self.size)
        if array.dtype != np.float32 or array.shape not in (wanted, wanted[1:]):
            raise UsageError(
                f"{path}: {array.dtype} of shape {array.shape}; expected uint8 HxWx3 or float32 {wanted}"
            )
        if not np.isfinite(array).all():
            raise UsageError(f"{path}: holds NaN or infinity")
        return np.array(array.reshape(wanted), order="C")  # a copy: the file may change later


def read_image(path: Path) -> UInt8Array:
    """Read a picture file as uint8 HxWx3 RGB, upright.

    The EXIF orientation is applied; grey, palette, CMYK and 16-bit pictures are converted; transparent
    pixels are laid over white; of an animation the first frame is taken.

    Raises:
        UsageError: the file is missing, damaged, too large to be a picture, or of floating point numbers.
    """
    with open_image(path) as image:
        return np.asarray(upright_rgb(image))


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open a picture file with pillow; whatever fails in the block is a UsageError that names the file."""
    try:
        with warnings.catch_warnings():
            # pillow warns from 89 megapixels on and refuses from 179: phones make the former.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except UsageError:
        raise
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise UsageError(f"{path}: not a picture in a format that can be read") from error
    except Image.DecompressionBombError as error:
        raise UsageError(f"{path}: too many pixels") from error
    except Exception as error:  # pillow's decoders raise many kinds on damaged files
        raise UsageError(f"{path}: can't be read as a picture: {error}") from error


def list_images(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """Return the pictures and .npy files in `folder`, or those of other suffixes, in natural order (p2 before p10).

    `NAME_alpha.png` (the mattes beside portraits) and hidden files are left out.

    Raises:
        UsageError: there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes
        and not path.name.startswith(".")
        and not path.name.lower().endswith("_alpha.png")
        and path.is_file()
    ]
    if not files:
        raise UsageError(f"{folder}: no pictures there", hint=f"Files that count: {', '.join(suffixes)}.")
    return sorted(files, key=lambda path: (_natural(path.name), path.name))


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return an opened picture as `read_image` has it, without the file's metadata.

    Raises ValueError for floating point pixels.
    """
    picture = _to_rgb(ImageOps.exif_transpose(image))
    picture.info.clear()  # pillow would write some of it again
    return picture


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("F"):
        raise ValueError("floating point pixels have no fixed range; save it with 8 bits")
    if image.mode.startswith("I"):  # 16-bit grey; pillow's own conversion clips it at 255
        grey = np.clip(np.asarray(image, np.int64), 0, 65535)
        image = Image.fromarray(np.round(grey / _GREY16_TO_GREY8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def read_npy(path: Path) -> np.ndarray[Any, Any]:
    """Map a .npy file, read-only; UsageError where it is missing or damaged."""
    try:
        # Mapped, not read: a header that claims more than the file holds fails before any allocation.
        array: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError, SyntaxError, OverflowError) as error:
        raise UsageError(f"{path}: can't be read as a .npy array: {error}") from error
    return array


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Split a name so that runs of digits compare as numbers, and before letters."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]


def _require_choice(key: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"preprocessing: {key} must be one of {', '.join(choices)}, not {value!r}")


def _require_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or not all(0 < extent <= _MAX_EXTENT for extent in size):
        raise UsageError(f"preprocessing: size must be (height, width) from 1 to {_MAX_EXTENT}, not {size!r}")


def _size(value: object) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(type(v) is int for v in value):
        raise UsageError(f"preprocessing: size must be [height, width], not {value!r}")
    return value[0], value[1]


def _three(key: str, value: Any) -> tuple[float, float, float]:
    values = value if isinstance(value, list | tuple) else [value] * 3
    if len(values) != 3 or not all(type(v) in (int, float) for v in values):
        raise UsageError(f"preprocessing: {key} must be a number or three of them, not {value!r}")
    return float(values[0]), float(values[1]), float(values[2])
