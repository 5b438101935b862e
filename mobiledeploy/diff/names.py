"""What a person names on the command line: a checkpoint, an ONNX file, or a variant of a bundle, perhaps on the device.

net.pth                  a checkpoint; its network comes from --model
net.onnx                 an ONNX file
bundles/net:onnx         the ONNX reference of a bundle
bundles/net:int8         a variant of a bundle, run on this computer
bundles/net:int8@device  the same, run on the device
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mobiledeploy.bundle import MANIFEST
from mobiledeploy.errors import UsageError

Form = Literal["checkpoint", "onnx", "reference", "variant"]

_ON_DEVICE = "@device"
_REFERENCE = "onnx"


@dataclass(frozen=True)
class SourceName:
    """A model that was named: its file or bundle, which variant of a bundle, and whether it runs on the device."""

    text: str
    form: Form
    path: Path
    variant: str = ""
    on_device: bool = False


def parse_name(text: str) -> SourceName:
    """Read a name as above; UsageError where nothing of that name is there, or it says too little or too much."""
    on_device = text.endswith(_ON_DEVICE)
    place = text.removesuffix(_ON_DEVICE)
    path, separator, variant = place.rpartition(":")
    if Path(place).exists() or not separator:
        path, variant = place, ""
    name = _of_bundle(text, Path(path), variant) if variant else _of_path(text, Path(path))
    if not on_device:
        return name
    if name.form != "variant":
        raise UsageError(
            f"{text}: only a variant of a bundle runs on the device",
            hint="For example bundles/net:fp16@device.",
        )
    return SourceName(text, name.form, name.path, name.variant, on_device=True)


def _of_bundle(text: str, path: Path, variant: str) -> SourceName:
    if not path.exists():
        raise UsageError(f"{path}: no such bundle")
    if not path.is_dir():
        raise UsageError(f"{text}: {path} is a file, and only a bundle has variants")
    return SourceName(text, "reference" if variant == _REFERENCE else "variant", path, variant)


def _of_path(text: str, path: Path) -> SourceName:
    if path.is_dir():
        what = "which variant of the bundle?" if (path / MANIFEST).is_file() else "not a bundle"
        raise UsageError(
            f"{text}: {what}", hint=f"For example {path}:fp32, {path}:onnx or {path}:int8@device."
        )
    if not path.is_file():
        raise UsageError(f"{text}: no such file or bundle")
    return SourceName(text, "onnx" if path.suffix.lower() == ".onnx" else "checkpoint", path)
