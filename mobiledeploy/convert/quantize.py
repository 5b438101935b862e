"""An existing bundle's int8 and mixed variants, made anew: without the checkpoint or the network that it came from.

int8 is made of the fp32 variant as it stands, so that it belongs to the very graph that the bundle's figures are of,
whichever version or converter made that. Only where there is no fp32 is the graph made anew from the ONNX reference,
by the converter that the manifest names.
"""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import (
    MANIFEST,
    SAMPLES,
    Bundle,
    building,
    describe_files,
    open_bundle,
    plan_file,
    sample_file,
    whole_bundle,
)
from mobiledeploy.convert.bundle_graph import load_float_graph
from mobiledeploy.convert.calibration import CALIBRATION_FILE
from mobiledeploy.convert.check import REPORT_IT, VariantCheck
from mobiledeploy.convert.converters import OURS, TRY_OURS
from mobiledeploy.convert.int8_options import Int8Options
from mobiledeploy.convert.keys import (
    Older,
    calibration_key,
    graph_key,
    int8_key,
    mixed_key,
    samples_key,
    variant_key,
)
from mobiledeploy.convert.maker import VariantMaker
from mobiledeploy.convert.mixing import Mixer
from mobiledeploy.convert.request import PRECISIONS
from mobiledeploy.convert.samples import InputData, Inputs, KeptInputs, input_data, kept_inputs
from mobiledeploy.convert.variants import reference_outputs
from mobiledeploy.errors import UsageError
from mobiledeploy.progress import Progress
from mobiledeploy.source.reference import TensorSpec
from ncnn_tools.files import write_atomically
from ncnn_tools.isolated import IsolatedRuntime


@dataclass(frozen=True)
class QuantizeRequest:
    """What is asked of a bundle: an int8 variant by these methods, in place where there is no `output`.

    With a `mixer` a mixed one too, beside int8, which is what it has to be better than.

    `calibration` is a folder of pictures or .npy arrays. Without it the statistics that the bundle holds are used,
    and its few samples for what needs inputs.
    """

    bundle: Path
    output: Path | None = None
    calibration: Path | None = None
    int8: Int8Options = field(default_factory=Int8Options)
    mixer: Mixer | None = None

    @property
    def precisions(self) -> tuple[str, ...]:
        """The variants that are made."""
        return ("int8",) if self.mixer is None else ("int8", "mixed")


def quantize_bundle(request: QuantizeRequest, progress: Progress | None = None) -> tuple[Bundle, bool]:
    """Make or replace a bundle's int8 variant, and mixed; returns the bundle, and False where it was so already.

    The ONNX reference and all other variants stay as they are, and so do the samples unless they are noise: then a
    few of the calibration inputs take their place, and every variant is compared on these. Raises UsageError where
    the request can't be met and ConversionError where int8 does not work; both leave the older bundle as it was.
    """
    request.int8.check()
    source = open_bundle(request.bundle)
    if request.mixer is not None:
        request.mixer.check(source.matte)
    # A link stays a link, and "." has a name.
    target = request.output or source.path.resolve()
    plan = BundlePlan(request, source)
    existing = whole_bundle(target)
    if existing is not None and existing.keys == plan.keys:
        return existing, False
    with building(target) as folder:
        _Builder(plan, folder, progress or (lambda *_: None)).build()
    return open_bundle(target), True


@dataclass(frozen=True)
class BundlePlan:
    """A request, the bundle that it is about, and the keys of the bundle that it asks for."""

    request: QuantizeRequest
    source: Bundle

    @cached_property
    def data(self) -> Inputs:
        """What int8 is calibrated on; UsageError where there is nothing, or it does not fit."""
        if len(self.source.inputs) != 1:
            raise UsageError(
                f"{self.source.path}: takes {len(self.source.inputs)} inputs; calibration is for networks of one"
            )
        if self.request.calibration is not None:
            specs = [TensorSpec(tensor.name, tensor.shape) for tensor in self.source.inputs]
            return input_data(specs, self.source.preprocessing, self.request.calibration)
        if self._noise:
            raise UsageError(
                f"{self.source.path}: holds nothing to calibrate on, its samples are noise",
                hint="Add --calibration DIR, a folder of pictures or .npy arrays.",
            )
        return kept_inputs(self.source)

    @property
    def _noise(self) -> bool:
        return (self.source.manifest.get("samples") or {}).get("source") != "calibration"

    @cached_property
    def new_samples(self) -> InputData | None:
        """What the samples of the bundle are to be taken from; None where they stay."""
        return self.data if self._noise and isinstance(self.data, InputData) else None

    @cached_property
    def keys(self) -> dict[str, str]:
        """Those of `Plan`, by the same rules, for what is made anew, and the bundle's own for all else."""
        old, matte = self.source.keys, self.source.matte
        onnx, samples, graph = (old.get(part, "") for part in ("onnx", "samples", "graph"))
        if "fp32" not in self.source.variants:
            graph = graph_key(onnx, self.source.converter)
        keys = dict(old)
        if isinstance(self.data, KeptInputs):
            inputs = f"kept of {samples}"
        else:
            inputs = samples_key(onnx, self.source.preprocessing, self.request.calibration)
        if self.new_samples is not None:
            samples = keys["samples"] = inputs
            floats = [precision for precision in self.source.variants if precision in ("fp32", "fp16")]
            keys |= {precision: variant_key(graph, samples, precision, matte) for precision in floats}
        if not isinstance(self.data, KeptInputs) or "calibration" not in old:
            keys["calibration"] = calibration_key(graph, inputs)
        int8 = keys["int8"] = int8_key(graph, samples, matte, keys["calibration"], inputs, self.request.int8)
        if self.request.mixer is not None:
            keys["mixed"] = mixed_key(int8, self.request.mixer)
        return keys


class _Builder:
    """Builds the changed bundle in a folder."""

    def __init__(self, plan: BundlePlan, folder: Path, progress: Progress) -> None:
        self.plan = plan
        self.source = plan.source
        self.folder = folder
        self.progress = progress

    def build(self) -> None:
        self._take_over_files()
        graph = load_float_graph(self.source, self.progress)
        samples = self._samples()
        variants = dict(self.source.manifest["variants"])
        with IsolatedRuntime() as runtime:
            maker = VariantMaker(
                graph,
                self.plan.data,
                self._check(runtime, samples),
                self.folder,
                Older(self.source, self.plan.keys),
                self.plan.request.int8,
                self.progress,
                fp32_first=False,
                mixer=self.plan.request.mixer,
                manifest=self.source.manifest,
            )
            variants |= {precision: maker.make(precision) for precision in self.plan.request.precisions}
            if self.plan.new_samples is not None:
                for precision in variants.keys() - set(self.plan.request.precisions):
                    variants[precision] = {**variants[precision], "parity": maker.parity(precision)}
            calibration = maker.calibration_facts()
        order = [precision for precision in PRECISIONS if precision in variants]
        manifest = {
            **self.source.manifest,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "calibration": calibration,
            "qdq": None,  # int8 has other scales now
            "variants": {precision: variants[precision] for precision in dict.fromkeys([*order, *variants])},
            "files": describe_files(self.folder),
            "keys": self.plan.keys,
        }
        if self.plan.new_samples is not None:
            manifest["samples"] = self.plan.new_samples.facts()
        write_atomically(self.folder / MANIFEST, json.dumps(manifest, indent=1).encode())

    def _take_over_files(self) -> None:
        """Copy what stays: all but the variants to be made, the statistics, and samples that are replaced."""
        left_out = {CALIBRATION_FILE}
        for precision in self.plan.request.precisions:
            left_out |= {f"{precision}.param", f"{precision}.bin", plan_file(precision)}
        for name in self.source.manifest["files"]:
            replaced = self.plan.new_samples is not None and Path(name).parts[0] == SAMPLES
            if name not in left_out and not replaced:
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.source.path / name, self.folder / name)

    def _samples(self) -> Mapping[str, FloatArray]:
        if self.plan.new_samples is None:
            return kept_inputs(self.source).arrays
        samples = self.plan.new_samples.kept_samples()
        (self.folder / SAMPLES).mkdir()
        for tensor in self.source.inputs:
            np.save(self.folder / SAMPLES / sample_file(tensor.blob), samples[tensor.name])
        return samples

    def _check(self, runtime: IsolatedRuntime, samples: Mapping[str, FloatArray]) -> VariantCheck:
        return VariantCheck(
            runtime,
            {tensor.name: tensor.blob for tensor in self.source.inputs},
            {tensor.name: (tensor.blob, tensor.shape) for tensor in self.source.outputs},
            samples,
            expected=reference_outputs(self.source.onnx, samples),
            matte=self.source.matte,
            advice=REPORT_IT if self.source.converter["name"] == OURS else TRY_OURS,
        )
