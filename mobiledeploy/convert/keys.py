"""What each part of a bundle depends on, as one key a part: equal keys mean that nothing has changed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ncnn_tools
from mobiledeploy.bundle import file_hash
from mobiledeploy.convert.request import ConvertRequest

_TOOLS = ("mobiledeploy", "ncnn", "onnx", "onnxsim", "onnxruntime", "torch")


@dataclass(frozen=True)
class Plan:
    """A request, and the keys of the bundle that it asks for."""

    request: ConvertRequest

    @cached_property
    def keys(self) -> dict[str, str]:
        """A key for the ONNX reference, the samples, each precision, and what the manifest says of all of them.

        With int8 there is one for the calibration statistics, which no method changes.
        """
        request = self.request
        onnx = _digest(
            file_hash(request.source),
            request.model and [request.model, _network_sources(request.model)],
            request.input_shapes,
            request.output_names,
            request.trust_checkpoint,
            self.tools,
        )
        preprocessing = request.preprocessing.to_json() if request.preprocessing else None
        samples = _digest(onnx, preprocessing, _folder_digest(request.calibration))
        mask = [request.mask, request.mask_activation]
        keys = {
            "onnx": onnx,
            "samples": samples,
            "description": _digest(request.name, mask, request.untrained, _code_digest()),
            "free_sizes": _digest(samples, self.converter, _code_digest()),
        }
        if "int8" in request.precisions:
            keys["calibration"] = _digest(samples, self.converter, _code_digest())
        for precision in request.precisions:
            calibrated = request.method if precision == "int8" else None
            keys[precision] = _digest(samples, precision, calibrated, mask, self.converter, _code_digest())
        return keys

    @cached_property
    def converter(self) -> dict[str, str | None]:
        """Which converter makes the ncnn graph, and which version of it."""
        foreign = self.request.foreign_converter
        number = foreign.program().version if foreign else self.tools.get("mobiledeploy")
        return {"name": self.request.converter, "version": number}

    @cached_property
    def tools(self) -> dict[str, str]:
        """Versions of what the conversion runs on, as far as it is installed."""
        return {tool: found for tool in _TOOLS if (found := _version(tool))}


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=list).encode()).hexdigest()


def _folder_digest(folder: Path | None) -> list[tuple[str, str]] | None:
    if folder is None or not folder.is_dir():
        return None
    return [(file.name, file_hash(file)) for file in sorted(folder.iterdir()) if file.is_file()]


def _network_sources(spec: str) -> list[tuple[str, str]]:
    """Hash the Python files that a network is likely made of: those in the folder of its file or module."""
    place = spec.rpartition(":")[0]
    file = Path(place)
    if file.suffix != ".py":
        found = importlib.util.find_spec(place)
        if found is None or found.origin is None:
            return []
        file = Path(found.origin)
    return [(source.name, file_hash(source)) for source in sorted(file.parent.glob("*.py"))]


def _code_digest() -> str:
    """Hash the code that makes variants, so that a changed converter converts again."""
    folders = (Path(ncnn_tools.__file__).parent, Path(__file__).parent)
    sources = sorted(source for folder in folders for source in folder.rglob("*.py"))
    return _digest([file_hash(source) for source in sources])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
