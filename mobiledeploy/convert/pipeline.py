"""The steps of `convert`, and what can be taken over from the bundle that is there already."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import (
    MANIFEST,
    ONNX_FILE,
    SAMPLES,
    SCHEMA,
    Bundle,
    building,
    describe_files,
    file_hash,
    open_bundle,
    sample_file,
)
from mobiledeploy.convert.calibration import (
    CALIBRATION_FILE,
    Calibrated,
    calibrate,
    calibration_facts,
    thresholds,
)
from mobiledeploy.convert.check import REPORT_IT, VariantCheck
from mobiledeploy.convert.converters import TRY_OURS
from mobiledeploy.convert.free_sizes import find_free_sizes
from mobiledeploy.convert.int8 import quantize_calibrated
from mobiledeploy.convert.keys import Plan
from mobiledeploy.convert.reference import Reference, make_reference
from mobiledeploy.convert.request import PRECISIONS, ConvertRequest
from mobiledeploy.convert.samples import input_data
from mobiledeploy.convert.variants import (
    build_graph,
    make_variant,
    reference_outputs,
    write_variant,
)
from mobiledeploy.errors import UsageError
from mobiledeploy.progress import Progress
from mobiledeploy.source.onnx_file import load_onnx
from ncnn_tools.calibration import read_calibration, write_calibration
from ncnn_tools.files import write_atomically
from ncnn_tools.graph import Graph
from ncnn_tools.isolated import IsolatedRuntime


def convert(request: ConvertRequest, progress: Progress | None = None) -> tuple[Bundle, bool]:
    """Make the bundle that is asked for; returns it, and False where it was there already.

    Raises UsageError for a request that can't be met and ConversionError where the model can't be converted
    exactly; neither leaves anything behind, and an older bundle in that place stays.
    """
    request.check()
    tell = progress or (lambda *_: None)
    plan = Plan(request)
    previous = _previous(request.output)
    if previous is not None and previous.manifest.get("keys") == plan.keys:
        return previous, False
    with building(request.output) as folder:
        _Builder(plan, previous, folder, tell).build()
    return open_bundle(request.output), True


def _previous(path: Path) -> Bundle | None:
    """Return the bundle that stands where the new one will, if it is whole."""
    try:
        return open_bundle(path)
    except UsageError:
        return None


class _Builder:
    """Builds one bundle in a folder, part by part."""

    def __init__(self, plan: Plan, previous: Bundle | None, folder: Path, progress: Progress) -> None:
        self.plan = plan
        self.request = plan.request
        self.previous = previous
        self.folder = folder
        self.progress = progress
        self._fp32_checked = False

    def build(self) -> None:
        reference = self._reference()
        self.graph = self._graph(reference)
        self.data = input_data(self.request, reference.file.inputs)
        self._check_mask(reference)
        samples = self._samples()
        with IsolatedRuntime() as runtime:
            self.check = self._prepare_check(runtime, reference, samples)
            # fp32 first: calibration runs it in this process, so it must have run in the other one.
            made = {
                precision: self._variant(precision)
                for precision in PRECISIONS
                if precision in self.request.precisions
            }
            free_sizes = self._free_sizes(reference)
        variants = {precision: made[precision] for precision in self.request.precisions}
        manifest = {**self._manifest(reference, variants), "free_sizes": free_sizes}
        write_atomically(self.folder / MANIFEST, json.dumps(manifest, indent=1).encode())

    def _same(self, part: str) -> Bundle | None:
        """Return the previous bundle if this part of it is still right."""
        if self.previous is None or self.previous.manifest["keys"].get(part) != self.plan.keys[part]:
            return None
        return self.previous

    def _reference(self) -> Reference:
        target = self.folder / ONNX_FILE
        if previous := self._same("onnx"):
            shutil.copyfile(previous.onnx, target)
            return Reference(load_onnx(target), dict(previous.manifest["onnx"]))
        return make_reference(self.request, target, self.progress)

    def _graph(self, reference: Reference) -> Graph:
        foreign = self.request.foreign_converter
        if foreign is None:
            return build_graph(reference.file.model)
        self.progress(f"converting with {foreign.name}", 0, 0)
        return foreign.convert(self.folder / ONNX_FILE, reference.file)

    def _check_mask(self, reference: Reference) -> None:
        matte = self.request.matte
        if matte is None:
            return
        shapes = {spec.name: spec.shape for spec in reference.file.outputs}
        if matte.output not in shapes:
            raise UsageError(
                f"no output {matte.output!r} to make a mask from", hint=f"Outputs: {', '.join(shapes)}."
            )
        matte.check_shape(shapes[matte.output])

    def _samples(self) -> dict[str, FloatArray]:
        self.progress("preparing samples", 0, 0)
        folder = self.folder / SAMPLES
        folder.mkdir()
        samples = self.data.kept_samples()
        for name, blob in self._input_blobs().items():
            np.save(folder / sample_file(blob), samples[name])
        return samples

    def _input_blobs(self) -> dict[str, str]:
        return dict(zip((spec.name for spec in self.data.inputs), self.graph.inputs, strict=True))

    def _prepare_check(
        self, runtime: IsolatedRuntime, reference: Reference, samples: Mapping[str, FloatArray]
    ) -> VariantCheck:
        outputs = {
            spec.name: (blob, spec.shape)
            for spec, blob in zip(reference.file.outputs, self.graph.outputs, strict=True)
        }
        return VariantCheck(
            runtime,
            self._input_blobs(),
            outputs,
            samples,
            expected=reference_outputs(self.folder / ONNX_FILE, samples),
            matte=self.request.matte,
            advice=TRY_OURS if self.request.foreign_converter else REPORT_IT,
        )

    @cached_property
    def _calibrated(self) -> Calibrated:
        """The statistics of the calibration files, by a pass over them or from the previous bundle."""
        file = self.folder / CALIBRATION_FILE
        file.parent.mkdir()
        if previous := self._same("calibration"):
            shutil.copyfile(previous.path / CALIBRATION_FILE, file)
            doubts = previous.manifest["calibration"]["doubts"]
            return Calibrated(read_calibration(file), tuple(doubts))
        if "fp32" not in self.request.precisions:
            self._check_fp32()
        calibrated = calibrate(self.graph, self.data, self.progress)
        write_calibration(calibrated.statistics, file)
        return calibrated

    def _calibration_facts(self) -> dict[str, Any] | None:
        if "int8" not in self.request.precisions:
            return None
        if previous := self._same("int8"):
            _ = self._calibrated  # takes the file over
            return dict(previous.manifest["calibration"])
        return calibration_facts(self._calibrated, self.request.method)

    def _variant(self, precision: str) -> dict[str, Any]:
        if previous := self._same(precision):
            variant = previous.variant(precision)
            for file in (variant.param, variant.bin):
                shutil.copyfile(file, self.folder / file.name)
            return dict(previous.manifest["variants"][precision])
        if "fp32" not in self.request.precisions:
            self._check_fp32()
        self.progress(f"writing {precision}", 0, 0)
        graph = self.graph
        if precision == "int8":
            clipped = thresholds(self._calibrated.statistics, self.request.method)
            graph = quantize_calibrated(graph, self.data, clipped, self.progress)
        facts = write_variant(make_variant(graph, precision), self.folder, precision)
        self.progress(f"comparing {precision} with onnxruntime", 0, 0)
        return {**facts, "parity": self.check.files(self.folder, precision)}

    def _free_sizes(self, reference: Reference) -> dict[str, Any]:
        if previous := self._same("free_sizes"):
            return dict(previous.manifest["free_sizes"])
        self.progress("trying another picture size", 0, 0)
        return find_free_sizes(self.graph, reference.file, self.check)

    def _check_fp32(self) -> None:
        """Check the graph that the variants are made of, once, where it is none of them itself."""
        if not self._fp32_checked:
            self.progress("comparing fp32 with onnxruntime", 0, 0)
            self.check.graph(self.graph)
            self._fp32_checked = True

    def _manifest(self, reference: Reference, variants: Mapping[str, Any]) -> dict[str, Any]:
        request = self.request
        pairs = {
            "inputs": zip(reference.file.inputs, self.graph.inputs, strict=True),
            "outputs": zip(reference.file.outputs, self.graph.outputs, strict=True),
        }
        tensors = {
            side: [{"name": spec.name, "shape": list(spec.shape), "blob": blob} for spec, blob in specs]
            for side, specs in pairs.items()
        }
        return {
            "schema": SCHEMA,
            "name": request.name,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "tools": self.plan.tools,
            "source": {
                "file": request.source.name,
                "sha256": file_hash(request.source),
                "model": request.model,
            },
            "converter": self.plan.converter,
            **tensors,
            "mask": request.mask,
            "mask_activation": request.matte.activation if request.matte else None,
            "untrained": request.untrained,
            "preprocessing": request.preprocessing.to_json() if request.preprocessing else None,
            "onnx": reference.facts,
            "samples": self.data.facts(),
            "calibration": self._calibration_facts(),
            "variants": variants,
            "blobs": dict(self.graph.origins),
            "files": describe_files(self.folder),
            "keys": self.plan.keys,
        }
