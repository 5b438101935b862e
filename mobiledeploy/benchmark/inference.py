"""What a device computed: inferences without measuring, and the outputs that a launch left."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.benchmark.journal import JournalError, read_journal, whole_lines
from mobiledeploy.benchmark.launch import named_failure
from mobiledeploy.benchmark.plan import Configuration, RemoteFiles, command_line
from mobiledeploy.bundle import Tensor
from mobiledeploy.device import Device
from mobiledeploy.errors import DeviceRunError


def infer(
    device: Device, files: RemoteFiles, configuration: Configuration, *, timeout_s: float
) -> dict[str, FloatArray]:
    """Run a configuration once on each of its samples; returns (N, ...) in the ONNX shape by output name.

    Raises DeviceRunError, DeviceError or TimedOutError; nothing stays on the device.
    """
    tensors = configuration.bundle.outputs
    arrays = extract(device, files, configuration, [tensor.blob for tensor in tensors], timeout_s=timeout_s)
    return _in_onnx_shape(tensors, arrays)


def extract(
    device: Device,
    files: RemoteFiles,
    configuration: Configuration,
    blobs: Sequence[str],
    *,
    timeout_s: float,
) -> dict[str, FloatArray]:
    """Run a configuration once on each of its samples; returns any of its blobs, (N, ...) in ncnn's shape.

    Raises DeviceRunError, DeviceError or TimedOutError; nothing stays on the device.
    """
    with device.scratch() as folder:
        argv = command_line(files, [configuration], None, dump=folder, blobs=blobs)
        completed = device.run(argv, timeout_s=timeout_s)
        if failure := named_failure(completed):
            raise failure
        try:
            journal = read_journal(whole_lines(completed.stdout))
        except JournalError as error:
            raise DeviceRunError(f"the binary's output can't be used: {error}") from error
        if journal.end is None:
            raise DeviceRunError("the binary's output broke off before its end")
        return _pull(blobs, device, folder, journal.loaded[0])


def pull_outputs(
    tensors: Sequence[Tensor], device: Device, folder: str, loaded: Mapping[str, Any]
) -> dict[str, FloatArray]:
    """Fetch the outputs that a configuration left in a folder: (N, ...) in the ONNX shape, by output name."""
    return _in_onnx_shape(tensors, _pull([tensor.blob for tensor in tensors], device, folder, loaded))


def _pull(
    blobs: Sequence[str], device: Device, folder: str, loaded: Mapping[str, Any]
) -> dict[str, FloatArray]:
    names = {entry["name"]: PurePosixPath(entry["file"]).name for entry in loaded["outputs"]}
    arrays = {}
    with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as temporary:
        for blob in blobs:
            local = Path(temporary, "blob.npy")
            device.pull(f"{folder}/{names[blob]}", local)
            arrays[blob] = np.load(local, allow_pickle=False)
    return arrays


def _in_onnx_shape(tensors: Sequence[Tensor], arrays: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {
        tensor.name: arrays[tensor.blob].reshape(len(arrays[tensor.blob]), *tensor.shape[1:])
        for tensor in tensors
    }
