"""Photos: read upright with their colour profile, written in the format of their name."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mobiledeploy.errors import UsageError
from mobiledeploy.preprocessing import open_image, upright_rgb
from ncnn_tools.files import write_atomically

# Suffix → pillow's name of the format and how to save in it.
_JPEG: tuple[str, dict[str, Any]] = ("JPEG", {"quality": 95, "subsampling": 0})
_TIFF: tuple[str, dict[str, Any]] = ("TIFF", {"compression": "tiff_lzw"})
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": ("PNG", {}),
    ".webp": ("WEBP", {"quality": 95}),
    ".bmp": ("BMP", {}),
    ".gif": ("GIF", {}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
SUFFIXES = tuple(_FORMATS)
_MULTIPLE = ("GIF", "MPO")  # animations are another module's; phones add pictures to a JPEG that nobody sees


@dataclass(frozen=True)
class Photo:
    """A picture in RGB, upright, and its ICC profile where that is one for RGB."""

    picture: Image.Image
    icc_profile: bytes | None


def read_photo(path: Path) -> Photo:
    """Read a photo; UsageError where it is missing, damaged, too large, or several pictures in one file."""
    with open_image(path) as image:
        if getattr(image, "n_frames", 1) > 1 and image.format not in _MULTIPLE:
            raise UsageError(
                f"{path}: holds several pictures; of {image.format} files only the still ones are read",
                hint="Make a GIF or a video of it.",
            )
        return Photo(upright_rgb(image), _rgb_profile(image.info.get("icc_profile")))


def _rgb_profile(profile: object) -> bytes | None:
    """Return a profile for RGB, None for others: grey and CMYK pictures are converted, and theirs no longer fit."""
    # Bytes 16 to 19 of an ICC header name the colour space (ICC.1:2022, 7.2.6).
    return profile if isinstance(profile, bytes) and profile[16:20] == b"RGB " else None


def write_photo(photo: Photo, path: Path) -> None:
    """Write a photo whole, or leave what was there; EXIF data are left out, as their thumbnail shows the original."""
    form, options = _FORMATS[path.suffix.lower()]
    if photo.icc_profile is not None and form != "BMP":
        options = {**options, "icc_profile": photo.icc_profile}
    data = io.BytesIO()
    photo.picture.save(data, form, **options)
    write_atomically(path, data.getvalue())
