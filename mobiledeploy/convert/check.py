"""Every model that is written is loaded, run and compared with onnxruntime, in a process that may crash."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.convert.variants import ncnn_outputs, parity
from mobiledeploy.errors import ConversionError
from mobiledeploy.matte import Matte
from mobiledeploy.source.reference import relative_error
from ncnn_tools.errors import NcnnToolsError, RuntimeCrashedError
from ncnn_tools.files import save
from ncnn_tools.graph import Graph
from ncnn_tools.isolated import IsolatedRuntime

# max |ncnn - onnxruntime| / max(1, max |onnxruntime|) that fp32 may have: both compute in float32, in another order.
FP32_TOLERANCE = 1e-4
# The same with winograd convolutions, which round more: what a device's fp32 may differ from this computer's too.
WINOGRAD_TOLERANCE = 1e-3

REPORT_IT = "This is a fault of the conversion: please report it with the ONNX file."


@dataclass(frozen=True)
class VariantCheck:
    """What the models of a bundle are run on and compared with.

    `inputs` maps inputs to blobs, `outputs` maps outputs to (blob, ONNX shape with a batch of 1); `samples` and
    `expected` are inputs and onnxruntime's outputs, (N, ...) each.
    """

    runtime: IsolatedRuntime
    inputs: Mapping[str, str]
    outputs: Mapping[str, tuple[str, tuple[int, ...]]]
    samples: Mapping[str, FloatArray]
    expected: Mapping[str, FloatArray]
    matte: Matte | None
    advice: str  # what to do about a model that fails: REPORT_IT, or another way
    spatial_step: int | None = (
        None  # as for `Runtime`, where the samples are of another size than the model's
    )

    def graph(self, graph: Graph) -> None:
        """Check a model in fp32 that is not written to the bundle; raises as `files` does."""
        with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as folder:
            save(graph, Path(folder, "fp32.param"), Path(folder, "fp32.bin"))
            self.files(Path(folder), "fp32")

    def files(self, folder: Path, precision: str) -> dict[str, Any]:
        """Run the model in `folder` and return its parity for the manifest.

        Raises ConversionError where ncnn refuses the model, crashes or hangs on it, or gives what is not a number;
        and, in fp32, where it does not give what onnxruntime does.
        """
        actual = self._outputs(folder, precision)
        for name, expected in self.expected.items():
            self._check_finite(precision, name, actual[name], expected)
        if precision == "fp32" and self._worst(actual)[1] > FP32_TOLERANCE:
            self._check_fp32(folder, actual)
        return parity(actual, self.expected, self.matte)

    def _outputs(self, folder: Path, precision: str, **options: bool) -> dict[str, FloatArray]:
        try:
            files = folder / f"{precision}.param", folder / f"{precision}.bin"
            self.runtime.load(*files, options, spatial_step=self.spatial_step)
            return ncnn_outputs(self.runtime, self.inputs, self.outputs, self.samples)
        except RuntimeCrashedError as error:
            raise ConversionError(
                f"ncnn can't run the {precision} model: {error}", hint=self.advice
            ) from error
        except (
            NcnnToolsError,
            ValueError,
        ) as error:  # ValueError: an output of another size than the ONNX one
            raise ConversionError(
                f"the {precision} model does not work in ncnn: {error}", hint=self.advice
            ) from error

    def _check_finite(self, precision: str, name: str, actual: FloatArray, expected: FloatArray) -> None:
        if not np.isfinite(expected).all():
            raise ConversionError(
                f"output {name!r} of the network is not finite in onnxruntime either",
                hint="Check the weights and the preprocessing.",
            )
        if not np.isfinite(actual).all():
            raise ConversionError(f"output {name!r} of the {precision} model is not finite", hint=self.advice)

    def _check_fp32(self, folder: Path, actual: Mapping[str, FloatArray]) -> None:
        """Tell a wrong model from a network that magnifies the rounding of winograd, which ncnn uses by default."""
        exact = self._outputs(folder, "fp32", winograd=False)
        for outputs, tolerance in ((exact, FP32_TOLERANCE), (actual, WINOGRAD_TOLERANCE)):
            name, error = self._worst(outputs)
            if error > tolerance:
                raise ConversionError(
                    f"output {name!r} of the fp32 model differs from onnxruntime by {error:.3g} "
                    f"(at most {tolerance:g} of the largest value is allowed)",
                    hint=self.advice,
                )

    def _worst(self, actual: Mapping[str, FloatArray]) -> tuple[str, float]:
        """Return the output that is furthest from onnxruntime's, and how far that is."""
        errors = {name: relative_error(actual[name], expected) for name, expected in self.expected.items()}
        return max(errors.items(), key=lambda entry: entry[1])
