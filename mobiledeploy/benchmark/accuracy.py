"""Outputs from the device against onnxruntime, and against the same variant run on this computer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert.variants import ncnn_outputs, parity, reference_outputs
from mobiledeploy.errors import CheckFailedError
from mobiledeploy.metrics import max_abs
from ncnn_tools.runtime import Runtime

# |device - host| that fp32 may have: the same arithmetic by other kernels, in another order.
DEVICE_FP32_TOLERANCE = 1e-3

Outputs = Mapping[str, FloatArray]


class Judge:
    """Knows what a bundle's outputs should be for its samples."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.samples: dict[str, FloatArray] = {name: np.load(path) for name, path in bundle.samples().items()}
        self.reference = reference_outputs(bundle.onnx, self.samples)
        self._host: dict[str, Outputs] = {}

    def figures(self, precision: str, outputs: Outputs) -> dict[str, Any]:
        """Return the accuracy entry of a run for the outputs of one configuration, each (N, ...)."""
        host = self._host_outputs(precision)
        return {
            "samples": {**self.bundle.manifest["samples"], "count": len(next(iter(self.samples.values())))},
            **parity(outputs, self.reference, self.bundle.matte),
            "host_max_abs": {name: max_abs(outputs[name], host[name]) for name in host},
        }

    def _host_outputs(self, precision: str) -> Outputs:
        if precision not in self._host:
            variant = self.bundle.variant(precision)
            self._host[precision] = ncnn_outputs(
                Runtime(variant.param, variant.bin),
                {tensor.name: tensor.blob for tensor in self.bundle.inputs},
                {tensor.name: (tensor.blob, tensor.shape) for tensor in self.bundle.outputs},
                self.samples,
            )
        return self._host[precision]


def check_device_parity(benchmarks: Sequence[Mapping[str, Any]]) -> None:
    """Raise CheckFailedError where fp32 on the device is not what it is on this computer."""
    for entry in benchmarks:
        for output, difference in entry["accuracy"]["host_max_abs"].items():
            if entry["precision"] == "fp32" and not difference <= DEVICE_FP32_TOLERANCE:
                raise CheckFailedError(
                    f"{entry['model']} fp32: output {output!r} on the device differs by {difference:.3g} from the same "
                    f"model on this computer (at most {DEVICE_FP32_TOLERANCE:g} is allowed)",
                    hint="The run is kept; its accuracy figures show how far each output is off.",
                )
