"""A variant of a bundle as a function from pictures to alphas, on this computer or on a device."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from mobiledeploy.arrays import FloatArray
from mobiledeploy.benchmark.execute import prepare_binary
from mobiledeploy.benchmark.inference import infer
from mobiledeploy.benchmark.plan import Configuration, RemoteFiles
from mobiledeploy.bundle import Bundle, Tensor
from mobiledeploy.device import Device
from mobiledeploy.errors import CheckFailedError, MobileDeployError, UsageError
from mobiledeploy.matte import Matte
from mobiledeploy.preprocessing import Preprocessing
from mobiledeploy.progress import Progress
from ncnn_tools.runtime import Runtime

_DEVICE_TIMEOUT_S = 300.0  # for one batch


class Network(Protocol):
    """Computes alphas; `batch` is how many pictures it takes at once, `workers` how many threads may call it."""

    batch: int
    workers: int

    def alphas(self, pictures: Sequence[Image.Image]) -> FloatArray:
        """Return alpha (N, h, w) in 0..1, of the network's size, for pictures in RGB."""


class _Segmenter:
    """What both have in common: a bundle that makes a mask from pictures, and a variant of it."""

    def __init__(self, bundle: Bundle, precision: str) -> None:
        if bundle.matte is None or bundle.preprocessing is None:
            missing = "mask" if bundle.matte is None else "preprocessing"
            raise UsageError(
                f"{bundle.path}: says nothing of its {missing}, so it can't tell a person from the background",
                hint="Convert again with --mask, and --mean, --scale and --color, or a TOML file that says them.",
            )
        self.matte: Matte = bundle.matte
        self.preprocessing: Preprocessing = bundle.preprocessing
        self.variant = bundle.variant(precision)
        self.input: Tensor = bundle.inputs[0]
        self.output = next(tensor for tensor in bundle.outputs if tensor.name == self.matte.output)

    def tensors(self, pictures: Sequence[Image.Image]) -> FloatArray:
        """Return the network's inputs (N, 3, h, w)."""
        return np.concatenate([self.preprocessing.tensor(np.asarray(picture)) for picture in pictures])

    def checked(self, output: FloatArray) -> FloatArray:
        """Return the alphas of raw outputs (N, ...); CheckFailedError where a value is not finite."""
        alphas = self.matte.alpha({self.output.name: output})
        if not np.isfinite(alphas).all():
            raise CheckFailedError(
                f"the {self.variant.precision} network computed values that are not finite for this picture",
                hint="`mobiledeploy benchmark` shows how far each variant is off.",
            )
        return alphas


class HostNetwork(_Segmenter):
    """Runs on this computer with the ncnn wheel; frames in parallel, each on one thread.

    Raises UsageError where the bundle has no such variant, or makes no mask from pictures.
    """

    batch = 1
    workers = min(8, os.cpu_count() or 1)

    def __init__(self, bundle: Bundle, precision: str) -> None:
        super().__init__(bundle, precision)
        self._runtime = Runtime(self.variant.param, self.variant.bin)

    def alphas(self, pictures: Sequence[Image.Image]) -> FloatArray:
        """Return alpha (N, h, w) in 0..1 for pictures in RGB."""
        blob, shape = self.output.blob, self.output.shape
        outputs = [
            self._runtime.run({self.input.blob: tensor}, [blob])[blob].reshape(shape)
            for tensor in self.tensors(pictures)
        ]
        return self.checked(np.concatenate(outputs))


class DeviceNetwork(_Segmenter):
    """Runs on a device with the benchmark binary; raises as HostNetwork does, and DeviceError and its kin."""

    batch = 16  # enough that starting the binary weighs little
    workers = 1

    def __init__(self, bundle: Bundle, precision: str, device: Device, progress: Progress) -> None:
        super().__init__(bundle, precision)
        self._device = device
        self._configuration = Configuration(bundle, precision)
        binary = prepare_binary(device, list(self.variant.layers), progress)
        self._binary = device.store(binary.path, executable=True)
        self._files = (device.store(self.variant.param), device.store(self.variant.bin))

    def alphas(self, pictures: Sequence[Image.Image]) -> FloatArray:
        """Return alpha (N, h, w) in 0..1 for pictures in RGB; nothing of them stays on the device."""
        device, path = self._device, self._configuration.bundle.path
        with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as folder:
            samples = Path(folder, "pictures.npy")
            np.save(samples, self.tensors(pictures))
            stored = device.store(samples)
        try:
            files = RemoteFiles(
                self._binary,
                {path: {self.input.blob: stored}},
                {(path, self.variant.precision): self._files},
            )
            outputs = infer(device, files, self._configuration, timeout_s=_DEVICE_TIMEOUT_S)
        finally:
            # Where the device is gone there is nothing to do; `devices --clean` finds the file later.
            with contextlib.suppress(MobileDeployError):
                device.run(["rm", "-f", stored], timeout_s=_DEVICE_TIMEOUT_S)
        return self.checked(outputs[self.output.name])
