"""What each part of a bundle depends on, as one key a part: equal keys mean that nothing has changed.

`convert` finds them from a request (`Plan`), `quantize` from the bundle that it changes; both make the same key for
the same variant, so that each knows what the other made.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ncnn_tools
from mobiledeploy.bundle import Bundle, file_hash
from mobiledeploy.convert.int8_options import Int8Options
from mobiledeploy.convert.mixing import Mixer
from mobiledeploy.convert.request import CALIBRATED, ConvertRequest
from mobiledeploy.matte import Matte
from mobiledeploy.preprocessing import Preprocessing

_TOOLS = ("mobiledeploy", "ncnn", "onnx", "onnxsim", "onnxruntime", "torch")


@dataclass(frozen=True)
class Plan:
    """A request, what makes its mixed variant if it asks for one, and the keys of the bundle that it asks for."""

    request: ConvertRequest
    mixer: Mixer | None = None

    @cached_property
    def keys(self) -> dict[str, str]:
        """A key for the ONNX reference, the float graph, the samples, each precision, and what is said of them all.

        With int8 or mixed there is one for the calibration statistics, which no method changes.
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
        samples = samples_key(onnx, request.preprocessing, request.calibration)
        graph = graph_key(onnx, self.converter)
        mask = _mask(request.matte)
        keys = {
            "onnx": onnx,
            "graph": graph,
            "samples": samples,
            "description": _digest(request.name, mask, request.untrained, _code_digest()),
            "free_sizes": _digest(samples, graph, _code_digest()),
        }
        for precision in request.precisions:
            if precision in CALIBRATED:
                calibration = keys["calibration"] = calibration_key(graph, samples)
                int8 = int8_key(graph, samples, request.matte, calibration, samples, request.int8)
                keys[precision] = int8 if precision == "int8" else mixed_key(int8, self.mixer)
            else:
                keys[precision] = variant_key(graph, samples, precision, request.matte)
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


@dataclass(frozen=True)
class Older:
    """The bundle that parts can be taken over from, if there is one, and the keys of the new one."""

    bundle: Bundle | None
    keys: Mapping[str, str]

    def same(self, part: str) -> Bundle | None:
        """Return the older bundle if this part of it is still right."""
        if self.bundle is None or part not in self.keys or self.bundle.keys.get(part) != self.keys[part]:
            return None
        return self.bundle


def graph_key(onnx: str, converter: Mapping[str, str | None]) -> str:
    """Return the key of the float graph, for that of its ONNX reference and what converted it."""
    return _digest(onnx, converter, _code_digest())


def samples_key(onnx: str, preprocessing: Preprocessing | None, folder: Path | None) -> str:
    """Return the key of inputs made of a folder's files; of noise where there is none."""
    return _digest(onnx, preprocessing.to_json() if preprocessing else None, _folder_digest(folder))


def calibration_key(graph: str, inputs: str) -> str:
    """Return the key of the statistics that a graph's activations have on these inputs."""
    return _digest(graph, inputs, _code_digest())


def variant_key(graph: str, samples: str, precision: str, matte: Matte | None) -> str:
    """Return the key of a variant in floats, which is compared with onnxruntime on these samples."""
    return _digest(graph, samples, precision, _mask(matte), _code_digest())


def int8_key(
    graph: str, samples: str, matte: Matte | None, calibration: str, inputs: str, options: Int8Options
) -> str:
    """Return the key of an int8 variant: as `variant_key`, with the statistics and inputs that it is made by."""
    return _digest(variant_key(graph, samples, "int8", matte), calibration, inputs, options.to_json())


def mixed_key(int8: str, mixer: Mixer | None) -> str:
    """Return the key of a mixed variant: that of the int8 variant with the same methods, and the mixer's own."""
    return _digest(int8, mixer and mixer.key)


def _mask(matte: Matte | None) -> list[str] | None:
    return [matte.output, matte.activation] if matte else None


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
    return source_digest(Path(ncnn_tools.__file__).parent, Path(__file__).parent)


@cache  # nearly every key asks for it, and hundreds of files are read
def source_digest(*folders: Path) -> str:
    """Hash the Python files of folders, as they are when this is first asked for."""
    sources = sorted(source for folder in folders for source in folder.rglob("*.py"))
    return _digest([file_hash(source) for source in sources])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
