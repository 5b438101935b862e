"""A variant of a bundle whose every blob can be asked for, on this computer or on the device."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.benchmark.execute import prepare_binary
from mobiledeploy.benchmark.inference import extract
from mobiledeploy.benchmark.launch import reach_again
from mobiledeploy.benchmark.plan import Configuration, RemoteFiles
from mobiledeploy.bundle import Bundle
from mobiledeploy.device import ConnectionLostError, Device
from mobiledeploy.diff.source import Intermediate
from mobiledeploy.errors import DeviceRunError
from mobiledeploy.progress import Progress
from mobiledeploy.source.reference import TensorSpec
from ncnn_tools.errors import NcnnToolsError
from ncnn_tools.files import load
from ncnn_tools.graph import Graph, Layer
from ncnn_tools.runtime import Runtime

_TIMEOUT_S = 300.0  # for one launch; an emulated CPU is slow
# Layers that compute nothing; Dropout stands where fp16 ends (ncnn_tools/half_precision/masks.py).
_COPIES = frozenset({"Split", "Noop", "Dropout", "Input", "MemoryData"})


class NcnnSource:
    """What both places have in common: the graph of a variant, with the ONNX tensor that each blob equals."""

    on_device = False
    batched = False
    halves = False
    notes: tuple[str, ...] = ()

    def __init__(self, label: str, bundle: Bundle, precision: str) -> None:
        """Read the variant's files; UsageError where the bundle has none of that name."""
        self.label = label
        self.kind = precision
        self.bundle = bundle
        self.variant = bundle.variant(precision)
        self.inputs = tuple(TensorSpec(tensor.name, tensor.shape) for tensor in bundle.inputs)
        self.outputs = tuple(tensor.name for tensor in bundle.outputs)
        graph = load(self.variant.param, self.variant.bin)
        keys = _keys(graph, _origins(bundle, precision))
        self.tensors = _intermediates(graph, keys)
        self._blob_of = {tensor.key: tensor.name for tensor in self.tensors}
        self._centered = bundle.centered(precision)
        self._layer_of = {keys[blob]: layer for blob, layer in graph.producers().items() if blob in keys}

    def layer_of(self, key: str) -> Layer | None:
        """Return the layer, with its weights, that computes a tensor."""
        return self._layer_of.get(key)

    def _by_key(self, keys: Sequence[str], blobs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Map keys to their blobs; those that a layer gives in int8, or centered, become what they stand for."""
        found = {key: _dequantized(blobs[self._blob_of[key]], self._layer_of[key]) for key in keys}
        for key in keys:
            if (center := self._centered.get(self._blob_of[key])) is not None:
                found[key] = np.float32(center) - found[key]
        return found

    def _feed(self, inputs: Sequence[FloatArray]) -> dict[str, FloatArray]:
        """Map each input's blob to its array, with the batch of 1."""
        return {tensor.blob: array for tensor, array in zip(self.bundle.inputs, inputs, strict=True)}


class HostSource(NcnnSource):
    """A variant run by the ncnn wheel on this computer."""

    def __init__(self, label: str, bundle: Bundle, precision: str) -> None:
        """Load the variant; UsageError where the bundle has none of that name."""
        super().__init__(label, bundle, precision)
        self._runtime = Runtime(self.variant.param, self.variant.bin)
        if precision != "fp32":
            self.notes = (
                f"{label}: this computer computes in fp32 what is not int8, from weights stored as fp16. "
                f"What a phone's fp16 arithmetic adds is seen with {label}@device.",
            )

    def values(self, keys: Sequence[str], inputs: Sequence[FloatArray]) -> dict[str, FloatArray]:
        """Run once; returns the blobs of these keys in ncnn's shapes. DeviceRunError where ncnn fails."""
        feed = {blob: array[0] for blob, array in self._feed(inputs).items()}
        try:
            found = self._runtime.run(feed, [self._blob_of[key] for key in keys])
        except NcnnToolsError as error:
            raise DeviceRunError(f"{self.label}: {error}") from error
        return self._by_key(keys, found)


class DeviceSource(NcnnSource):
    """A variant run by the benchmark binary on a device that the caller has alone."""

    on_device = True

    def __init__(
        self, label: str, bundle: Bundle, precision: str, device: Device, progress: Progress
    ) -> None:
        """Bring binary and model to the device; raises as `prepare_binary` and `Device.store` do."""
        super().__init__(label, bundle, precision)
        self._device = device
        self._configuration = Configuration(bundle, precision)
        binary = prepare_binary(device, list(self.variant.layers), progress)
        self._local_files = (binary.path, self.variant.param, self.variant.bin)
        has_fp16 = "asimdhp" in device.facts.cpu_features
        self.halves = precision != "fp32" and has_fp16
        if precision != "fp32" and not has_fp16:
            self.notes = (
                f"{label}: the device's CPU has no fp16 arithmetic, so that what is not int8 runs in fp32 there.",
            )

    def values(self, keys: Sequence[str], inputs: Sequence[FloatArray]) -> dict[str, FloatArray]:
        """Run once on the device; returns the blobs of these keys in ncnn's shapes.

        Where the connection is lost and comes back it is tried once more. Raises DeviceRunError, DeviceError or
        TimedOutError; of a run nothing stays on the device.
        """
        found: dict[str, FloatArray] = {}
        for blobs in _without_clashes([self._blob_of[key] for key in keys]):
            try:
                arrays = self._extract(blobs, inputs)
            except ConnectionLostError:
                reach_again(self._device)
                self._device.sweep()
                arrays = self._extract(blobs, inputs)
            found |= {blob: array[0] for blob, array in arrays.items()}
        return self._by_key(keys, found)

    def _extract(self, blobs: Sequence[str], inputs: Sequence[FloatArray]) -> dict[str, FloatArray]:
        device, path = self._device, self.bundle.path
        # Each time: a file that is there already is not sent again, and one that has gone is.
        binary, param, weights = (
            device.store(file, executable=number == 0) for number, file in enumerate(self._local_files)
        )
        with device.scratch() as folder:
            stored = self._push(inputs, folder)
            files = RemoteFiles(binary, {path: stored}, {(path, self.kind): (param, weights)})
            return extract(device, files, self._configuration, blobs, timeout_s=_TIMEOUT_S)

    def _push(self, inputs: Sequence[FloatArray], folder: str) -> dict[str, str]:
        """Bring the inputs to a folder on the device; returns their paths there by blob."""
        stored = {}
        with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as temporary:
            for number, (blob, array) in enumerate(self._feed(inputs).items()):
                local = Path(temporary, f"input{number}.npy")
                np.save(local, array)
                stored[blob] = self._device.store(local, folder=folder)
        return stored


def _dequantized(array: FloatArray, layer: Layer) -> FloatArray:
    """Return the values of a blob: a layer with an output scale gives int8, which ncnn extracts as it is."""
    scale = layer.weights.get("output_scale")
    return array if scale is None else array / scale.values()[0]


def _without_clashes(blobs: Sequence[str]) -> list[list[str]]:
    """Part blobs so that no two of a part get one file name from the binary, which keeps only plain characters."""
    parts: list[dict[str, str]] = []
    for blob in blobs:
        file = re.sub(r"[^A-Za-z0-9._+-]", "_", blob)
        part = next((part for part in parts if file not in part), None)
        if part is None:
            parts.append(part := {})
        part[file] = blob
    return [list(part.values()) for part in parts]


def _origins(bundle: Bundle, precision: str) -> dict[str, str]:
    """Map blobs to ONNX tensors; the outputs are known by name, whatever converter made the bundle."""
    return {**bundle.origins(precision), **{tensor.blob: tensor.name for tensor in bundle.outputs}}


def _keys(graph: Graph, origins: Mapping[str, str]) -> dict[str, str]:
    """Give each computed blob its key: the ONNX tensor that it equals, if no earlier blob equals that."""
    keys: dict[str, str] = {}
    copies = {
        blob: layer.inputs[0] for layer in graph.layers if layer.type == "Split" for blob in layer.outputs
    }
    origin_of = {**origins}
    for branch, whole in copies.items():
        if branch in origins:  # where only the branch is known, as with an output, so is the whole
            origin_of.setdefault(whole, origins[branch])
    taken: set[str] = set()
    for layer in graph.layers:
        for blob in () if layer.type in _COPIES else layer.outputs:
            origin = origin_of.get(blob)
            keys[blob] = f"blob {blob}" if origin is None or origin in taken else origin
            taken.add(keys[blob])
    return keys


def _intermediates(graph: Graph, keys: Mapping[str, str]) -> tuple[Intermediate, ...]:
    whole = {
        blob: layer.inputs[0]
        for layer in graph.layers
        if layer.type in ("Split", "Dropout")
        for blob in layer.outputs
    }

    def key_of(blob: str) -> str:
        while blob in whole:
            blob = whole[blob]
        return keys.get(blob, blob)

    return tuple(
        Intermediate(keys[blob], blob, layer.name, layer.type, tuple(key_of(name) for name in layer.inputs))
        for layer in graph.layers
        for blob in layer.outputs
        if blob in keys
    )
