"""The steps of `convert`, and what can be taken over from the bundle that is there already."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping
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
    whole_bundle,
)
from mobiledeploy.convert.check import REPORT_IT, VariantCheck
from mobiledeploy.convert.converters import TRY_OURS
from mobiledeploy.convert.free_sizes import find_free_sizes
from mobiledeploy.convert.keys import Older, Plan
from mobiledeploy.convert.maker import VariantMaker
from mobiledeploy.convert.mixing import Mixer
from mobiledeploy.convert.own_scales import OwnInt8Variant, make_own_int8
from mobiledeploy.convert.reference import Reference, make_reference
from mobiledeploy.convert.request import PRECISIONS, ConvertRequest
from mobiledeploy.convert.samples import input_data
from mobiledeploy.convert.variants import float_graph, reference_outputs
from mobiledeploy.errors import UsageError
from mobiledeploy.progress import Progress
from mobiledeploy.source.onnx_file import load_onnx
from ncnn_tools.files import write_atomically
from ncnn_tools.isolated import IsolatedRuntime


def convert(
    request: ConvertRequest, progress: Progress | None = None, mixer: Mixer | None = None
) -> tuple[Bundle, bool]:
    """Make the bundle that is asked for; returns it, and False where it was there already.

    `mixer` makes the mixed variant, where one is asked for. Raises UsageError for a request that can't be met and
    ConversionError where the model can't be converted exactly, and what the mixer raises; nothing of that leaves
    anything behind, and an older bundle in that place stays.
    """
    request.check()
    if mixer is not None:
        mixer.check(request.matte)
    tell = progress or (lambda *_: None)
    plan = Plan(request, mixer)
    previous = whole_bundle(request.output)
    if previous is not None and previous.keys == plan.keys:
        return previous, False
    with building(request.output) as folder:
        _Builder(plan, Older(previous, plan.keys), folder, tell).build()
    return open_bundle(request.output), True


class _Builder:
    """Builds one bundle in a folder, part by part."""

    def __init__(self, plan: Plan, older: Older, folder: Path, progress: Progress) -> None:
        self.plan = plan
        self.request = plan.request
        self.older = older
        self.folder = folder
        self.progress = progress

    def build(self) -> None:
        reference = self._reference()
        foreign = self.request.foreign_converter
        self.graph = float_graph(foreign, self.folder / ONNX_FILE, reference.file, self.progress)
        self.data = input_data(reference.file.inputs, self.request.preprocessing, self.request.calibration)
        self._check_mask(reference)
        samples = self._samples()
        described = self._manifest(reference)
        with IsolatedRuntime() as runtime:
            maker = self._maker(self._prepare_check(runtime, reference, samples), described)
            # fp32 first: calibration runs it in this process, so it must have run in the other one.
            made = {
                precision: maker.make(precision)
                for precision in PRECISIONS
                if precision in self.request.precisions
            }
            parts = {
                "variants": {precision: made[precision] for precision in self.request.precisions},
                "calibration": maker.calibration_facts(),
                "qdq": maker.own_facts(),
                "free_sizes": self._free_sizes(reference, maker.check),
            }
        manifest = {**described, **parts, "files": describe_files(self.folder)}
        write_atomically(self.folder / MANIFEST, json.dumps(manifest, indent=1).encode())

    def _reference(self) -> Reference:
        target = self.folder / ONNX_FILE
        if previous := self.older.same("onnx"):
            shutil.copyfile(previous.onnx, target)
            return Reference(load_onnx(target), dict(previous.manifest["onnx"]))
        return make_reference(self.request, target, self.progress)

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

    def _maker(self, check: VariantCheck, described: Mapping[str, Any]) -> VariantMaker:
        return VariantMaker(
            self.graph,
            self.data,
            check,
            self.folder,
            self.older,
            self.request.int8,
            self.progress,
            fp32_first="fp32" in self.request.precisions,
            mixer=self.plan.mixer,
            manifest=described,
            own_int8=self._own_int8 if self.request.own_scales else None,
        )

    def _own_int8(self, check: VariantCheck) -> OwnInt8Variant:
        self.progress("taking over the scales of the QDQ model", 0, 0)
        return make_own_int8(self.request, check)

    def _free_sizes(self, reference: Reference, check: VariantCheck) -> dict[str, Any]:
        if previous := self.older.same("free_sizes"):
            return dict(previous.manifest["free_sizes"])
        self.progress("trying another picture size", 0, 0)
        return find_free_sizes(self.graph, reference.file, check)

    def _manifest(self, reference: Reference) -> dict[str, Any]:
        """Return the manifest without what is said of variants, calibration, free sizes and files."""
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
            "blobs": dict(self.graph.origins),
            "keys": self.plan.keys,
        }
