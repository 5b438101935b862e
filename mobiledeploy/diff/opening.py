"""From two names to two models and the input for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.bundle import file_hash, open_bundle
from mobiledeploy.convert.reference import load_trained
from mobiledeploy.convert.request import ConvertRequest, describing_file
from mobiledeploy.device import Device
from mobiledeploy.diff.inputs import Inputs, file_inputs, noise_inputs, sample_inputs
from mobiledeploy.diff.names import SourceName
from mobiledeploy.diff.ncnn_source import DeviceSource, HostSource
from mobiledeploy.diff.onnx_source import OnnxSource
from mobiledeploy.diff.source import Shape, Source
from mobiledeploy.progress import Progress
from mobiledeploy.source.onnx_file import load_onnx


@dataclass(frozen=True)
class Options:
    """What is asked for beside two names; `model`, `input_shapes` and `trust_checkpoint` are as in a ConvertRequest."""

    model: str | None = None
    input_shapes: tuple[Shape, ...] | None = None
    trust_checkpoint: bool = False


class Opener:
    """Opens what was named, each bundle once. A checkpoint or ONNX file beside a bundle has its input shape."""

    def __init__(
        self, names: Sequence[SourceName], options: Options, device: Device | None, progress: Progress
    ) -> None:
        """Open the bundles among the names; `device` is for those that run on one, had by the caller alone."""
        self._options = options
        self._device = device
        self._progress = progress
        paths = dict.fromkeys(name.path for name in names if name.form in ("reference", "variant"))
        self._bundles = {path: open_bundle(path) for path in paths}
        self._preprocessing = next((bundle.preprocessing for bundle in self._bundles.values()), None)

    def open(self, name: SourceName) -> Source:
        """Load a model; raises UsageError, ConversionError, or what a device raises."""
        self._progress(f"loading {name.text}", 0, 0)
        if name.form == "checkpoint":
            return self._open_checkpoint(name)
        if name.form == "onnx":
            source = OnnxSource(name.text, load_onnx(name.path, self._described(name).input_shapes))
            source.notes = tuple(self._other_origins(name))
            return source
        bundle = self._bundles[name.path]
        if name.form == "reference":
            return OnnxSource(name.text, load_onnx(bundle.onnx))
        if name.on_device:
            assert self._device is not None  # noqa: S101 - for the caller to see to
            return DeviceSource(name.text, bundle, name.variant, self._device, self._progress)
        return HostSource(name.text, bundle, name.variant)

    def inputs(self, files: Sequence[Path], source: Source) -> Inputs:
        """Return the input: files through a bundle's preprocessing, a bundle's first sample, or noise."""
        if files:
            return file_inputs(files, source.inputs, self._preprocessing)
        bundle = next(iter(self._bundles.values()), None)
        return noise_inputs(source.inputs) if bundle is None else sample_inputs(bundle)

    def _open_checkpoint(self, name: SourceName) -> Source:
        request = self._described(name)
        request.check()
        network = load_trained(request)
        from mobiledeploy.diff.torch_source import TorchSource  # needs torch, as `load_trained` has seen to

        assert request.input_shapes is not None  # noqa: S101 - ConvertRequest.check has seen to it
        source = TorchSource(name.text, network, request.input_shapes, request.output_names)
        source.notes = tuple(self._other_origins(name))
        return source

    def _other_origins(self, name: SourceName) -> Iterator[str]:
        """Say which bundles were not made from this file."""
        digest = file_hash(name.path)
        for path, bundle in self._bundles.items():
            if bundle.manifest["source"]["sha256"] != digest:
                yield f"{path} was converted from another file than {name.text}."

    def _described(self, name: SourceName) -> ConvertRequest:
        """Return what `convert` would be asked, filled in from the .toml beside the network or the ONNX file."""
        options = self._options
        model = options.model if name.form == "checkpoint" else None
        request = ConvertRequest(
            source=name.path,
            output=name.path,
            name=name.path.stem,
            precisions=("fp32",),
            model=model,
            input_shapes=options.input_shapes or self._shapes_of_bundle(),
            trust_checkpoint=options.trust_checkpoint,
        )
        if toml := describing_file(name.path, model):
            request = request.described_by(toml)
            self._preprocessing = self._preprocessing or request.preprocessing
        return request

    def _shapes_of_bundle(self) -> tuple[Shape, ...] | None:
        bundle = next(iter(self._bundles.values()), None)
        return None if bundle is None else tuple(tensor.shape for tensor in bundle.inputs)
