"""What `convert` is asked for, and the TOML file beside a network that answers what was not said."""

from __future__ import annotations

import dataclasses
import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mobiledeploy.convert.converters import OURS, ForeignConverter, foreign_converter
from mobiledeploy.convert.int8_options import Int8Options
from mobiledeploy.errors import UsageError
from mobiledeploy.matte import Matte
from mobiledeploy.preprocessing import Preprocessing, list_images
from mobiledeploy.source.onnx_file import is_qdq
from mobiledeploy.toml_file import read_toml

PRECISIONS = ("fp32", "fp16", "int8", "mixed")
CALIBRATED = ("int8", "mixed")  # those that pictures are needed for

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NetworkDescription:
    """The table [network] of a TOML file: what a network takes and gives."""

    input_shapes: tuple[Shape, ...] | None = None
    outputs: tuple[str, ...] | None = None
    mask: str | None = None
    mask_activation: str | None = None

    @classmethod
    def from_toml(cls, path: Path) -> NetworkDescription:
        """Read the table; UsageError names the key that is wrong. A file without the table says nothing."""
        table = read_toml(path).get("network", {})
        if not isinstance(table, dict):
            raise UsageError(f"{path}: [network] should be a table")
        if unknown := set(table) - {"input_shape", "outputs", "mask", "mask_activation"}:
            raise UsageError(f"{path}: [network] has no key {min(unknown)!r}")
        shapes = table.get("input_shape")
        texts = [shapes] if isinstance(shapes, str) else shapes
        return cls(
            input_shapes=None
            if texts is None
            else tuple(parse_shape(text) for text in _strings(path, texts)),
            outputs=None if "outputs" not in table else tuple(_strings(path, table["outputs"])),
            mask=None if "mask" not in table else _strings(path, [table["mask"]])[0],
            mask_activation=None
            if "mask_activation" not in table
            else _strings(path, [table["mask_activation"]])[0],
        )


def _strings(path: Path, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{path}: [network] holds strings and lists of strings, not {value!r}")
    return value


def parse_shape(text: str) -> Shape:
    """Read a shape such as 1x3x256x256; UsageError for anything else."""
    parts = text.lower().split("x")
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(
            f"{text!r} is not a shape", hint="Write it as batch x channels x height x width: 1x3x256x256."
        )
    return tuple(int(part) for part in parts)


@dataclass(frozen=True)
class ConvertRequest:
    """Everything that determines a bundle.

    `source` is a checkpoint (then `model` names its network, FILE.py:NAME or package.module:NAME) or an .onnx
    file. `converter` is one of `converters.CONVERTERS`. `calibration` is a folder of pictures or .npy arrays; int8
    needs it, unless the source brings scales of its own, and `method` (read by `ncnn_tools.calibration.Method.parse`)
    says where it clips activations.
    `untrained` says that the weights are random, so that no table shows how good its masks are.
    """

    source: Path
    output: Path
    name: str
    precisions: tuple[str, ...]
    model: str | None = None
    input_shapes: tuple[Shape, ...] | None = None
    output_names: tuple[str, ...] | None = None
    mask: str | None = None
    mask_activation: str | None = None
    preprocessing: Preprocessing | None = None
    calibration: Path | None = None
    method: str = "mse"
    trust_checkpoint: bool = False
    untrained: bool = False
    converter: str = OURS

    def described_by(self, toml: Path) -> ConvertRequest:
        """Return the request with what it leaves open filled in from a TOML file ([network], [preprocessing])."""
        known = NetworkDescription.from_toml(toml)
        filled = dataclasses.replace(
            self,
            input_shapes=self.input_shapes or known.input_shapes,
            output_names=self.output_names or known.outputs,
            mask=self.mask or known.mask,
            # What the file says of its own mask says nothing of another output.
            mask_activation=self.mask_activation
            or (known.mask_activation if self.mask in (None, known.mask) else None),
        )
        if self.preprocessing is not None or "preprocessing" not in read_toml(toml):
            return filled
        return dataclasses.replace(filled, preprocessing=Preprocessing.from_toml(toml, filled.picture_size()))

    def picture_size(self) -> tuple[int, int]:
        """Return (height, width) of the pictures that the network takes; UsageError where it takes none."""
        if self.input_shapes is None or len(self.input_shapes) != 1 or len(self.input_shapes[0]) != 4:
            raise UsageError(
                "preprocessing needs the network's one input shape", hint="Add --input-shape 1x3xHxW."
            )
        _, _, height, width = self.input_shapes[0]
        return height, width

    @property
    def matte(self) -> Matte | None:
        """How a mask is made from the outputs, if one is; UsageError for an unknown activation."""
        return None if self.mask is None else Matte(self.mask, self.mask_activation or "none")

    @property
    def foreign_converter(self) -> ForeignConverter | None:
        """The converter that was asked for, where it is not ours; UsageError for an unknown one."""
        return foreign_converter(self.converter)

    @property
    def int8(self) -> Int8Options:
        """By which methods int8 is made."""
        return Int8Options(self.method)

    @property
    def from_onnx(self) -> bool:
        """Say whether the source is an ONNX file rather than a checkpoint."""
        return self.source.suffix.lower() == ".onnx"

    @cached_property
    def own_scales(self) -> bool:
        """Say whether int8 is made with scales that the source brings (a QDQ model), which only ours can take over."""
        return self.from_onnx and self.converter == OURS and is_qdq(self.source)

    def check(self) -> None:
        """Raise UsageError where the request can't be met, before any work."""
        if not self.source.is_file():
            raise UsageError(f"{self.source}: no such file")
        if not self.from_onnx and self.model is None:
            raise UsageError(
                f"{self.source}: a checkpoint holds weights only, so its network is needed",
                hint="Add --model FILE.py:NAME or --model package.module:NAME (or give an .onnx file).",
            )
        if self.model is not None and (file := _network_file(self.model)) and not file.is_file():
            raise UsageError(
                f"{file}: no such file", hint="--model takes FILE.py:NAME or package.module:NAME."
            )
        if not self.from_onnx and self.input_shapes is None:
            raise UsageError("the input shape is not known", hint="Add --input-shape 1x3x256x256.")
        _ = self.matte  # refuses an unknown activation
        if self.foreign_converter is not None:
            self.foreign_converter.program()  # refuses one that is not installed
        calibrated = [precision for precision in self.precisions if precision in CALIBRATED]
        if self.own_scales and "int8" in calibrated:
            calibrated.remove("int8")
        if calibrated and self.calibration is None:
            raise UsageError(
                f"{calibrated[0]} needs pictures to calibrate on",
                hint=f"Add --calibration DIR, or leave {calibrated[0]} out of --precision.",
            )
        self.int8.check()
        if self.calibration is not None:
            list_images(self.calibration)


def describing_file(source: Path, model: str | None) -> Path | None:
    """Return the TOML file beside the network's file or module, or beside an ONNX source, if there is one."""
    if model is None:
        beside = source.with_suffix(".toml")
    else:
        file = _network_file(model)
        beside = file.with_suffix(".toml") if file else _module_file(model.rpartition(":")[0])
    return beside if beside.is_file() else None


def _network_file(model: str) -> Path | None:
    """Return FILE.py of FILE.py:NAME; None for package.module:NAME."""
    place = model.rpartition(":")[0]
    return Path(place) if place.endswith(".py") else None


def _module_file(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    return Path(spec.origin).with_suffix(".toml") if spec and spec.origin else Path(module + ".toml")
