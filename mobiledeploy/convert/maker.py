"""What `convert` and `quantize` share: the variants of a bundle that is being built, made or taken over."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle, plan_file
from mobiledeploy.convert.calibration import (
    CALIBRATION_FILE,
    Calibrated,
    calibrate,
    calibration_facts,
    read_statistics,
)
from mobiledeploy.convert.check import VariantCheck
from mobiledeploy.convert.half import half_facts, half_masks
from mobiledeploy.convert.int8 import Prepared, blob_samples, equalize_calibrated, prepare, quantize_prepared
from mobiledeploy.convert.int8_options import Int8Options
from mobiledeploy.convert.keys import Older
from mobiledeploy.convert.mixing import Mixer, Recipe
from mobiledeploy.convert.own_scales import OwnInt8Variant
from mobiledeploy.convert.request import CALIBRATED
from mobiledeploy.convert.samples import Inputs, spread
from mobiledeploy.convert.variants import make_variant, write_variant
from mobiledeploy.convert.variations import with_variations
from mobiledeploy.errors import UsageError
from mobiledeploy.progress import Progress
from ncnn_tools.calibration import write_calibration
from ncnn_tools.graph import Graph
from ncnn_tools.half_precision import HalfMask, apply_half_masks

# Inputs that a mix is judged by: the mean of a figure over so many is known well enough, and they fit into memory.
_JUDGED = 24


@dataclass
class VariantMaker:
    """Makes variants of `graph`, the network in fp32, in `folder`, and compares each with onnxruntime.

    `data` is what int8 is calibrated on. What has not changed since the `older` bundle is taken over from there.
    `fp32_first` says that fp32 is a variant that is made before all others, which checks the graph. `mixer` makes
    mixed variants, and `manifest` is what is said of the bundle without its variants. `own_int8` makes the int8
    variant with the scales of a QDQ model, instead of calibrating.
    """

    graph: Graph
    data: Inputs
    check: VariantCheck
    folder: Path
    older: Older
    int8: Int8Options
    progress: Progress
    fp32_first: bool
    mixer: Mixer | None
    manifest: Mapping[str, Any]
    own_int8: Callable[[VariantCheck], OwnInt8Variant] | None = None
    _checked: bool = field(default=False, init=False)
    _calibration_facts: dict[str, Any] | None = field(default=None, init=False)

    def make(self, precision: str) -> dict[str, Any]:
        """Make a variant, or take it over; returns what the manifest says of it."""
        if older := self.older.same(precision):
            return self.take_over(older, precision)
        self.check_fp32()
        check = self.check
        facts: dict[str, Any] = {}
        if precision == "int8" and self._own is not None:
            graph, check = self._own.graph, self._own.check
        elif precision == "int8":
            graph, facts = self._quantized()
        elif precision == "mixed":
            graph, facts = self._mixed()
        else:
            graph = self.graph
        masks = [] if precision == "fp32" else self._half_masks
        self.progress(f"writing {precision}", 0, 0)
        facts |= write_variant(make_variant(graph, precision, masks), self.folder, precision)
        return {**facts, "fp32_layers": half_facts(masks), "parity": self.parity(precision, check)}

    @cached_property
    def _own(self) -> OwnInt8Variant | None:
        return self.own_int8(self.check) if self.own_int8 else None

    def own_facts(self) -> dict[str, Any] | None:
        """Return what the manifest says of the scales that a QDQ model brought; None where it brought none to int8."""
        if self.own_int8 is None or "int8" not in self.older.keys:
            return None
        older = self.older.same("int8")
        if older is not None:
            return dict(older.manifest["qdq"])
        return self._own.facts if self._own is not None else None

    @cached_property
    def _half_masks(self) -> list[HalfMask]:
        """The layers that fp16 breaks on phones."""
        return half_masks(self.graph, self.check, self.progress)

    def take_over(self, older: Bundle, precision: str) -> dict[str, Any]:
        """Copy a variant's files; returns what the manifest says of it."""
        variant = older.variant(precision)
        plan = older.path / plan_file(precision)
        for file in (variant.param, variant.bin, *([plan] if plan.is_file() else [])):
            shutil.copyfile(file, self.folder / file.name)
        return dict(older.manifest["variants"][precision])

    def parity(self, precision: str, check: VariantCheck | None = None) -> dict[str, Any]:
        """Compare a variant that is in the folder with onnxruntime; raises as `VariantCheck.files` does."""
        self.progress(f"comparing {precision} with onnxruntime", 0, 0)
        return (check or self.check).files(self.folder, precision)

    def check_fp32(self) -> None:
        """Check the graph that the variants are made of, once, where it is none of them itself."""
        if self.fp32_first or self._checked:
            return
        self.progress("comparing fp32 with onnxruntime", 0, 0)
        self.check.graph(self.graph)
        self._checked = True

    @cached_property
    def calibrated(self) -> Calibrated:
        """The statistics of the calibration inputs, by a pass over them or from the older bundle; now in `folder`."""
        file = self.folder / CALIBRATION_FILE
        file.parent.mkdir()
        if older := self.older.same("calibration"):
            calibrated = read_statistics(older, self.graph)
            shutil.copyfile(older.path / CALIBRATION_FILE, file)
            return calibrated
        self.check_fp32()
        calibrated = calibrate(self.graph, self.data, self.progress)
        write_calibration(calibrated.statistics, file)
        return calibrated

    def calibration_facts(self) -> dict[str, Any] | None:
        """Return what the manifest says of the calibration, once int8 and mixed are made; None where there is none."""
        calibrated = CALIBRATED if self.own_int8 is None else ("mixed",)
        older = next(filter(None, map(self.older.same, calibrated)), None)
        if self._calibration_facts is None and older:
            _ = self.calibrated  # takes the file over
            return dict(older.manifest["calibration"])
        return self._calibration_facts

    @cached_property
    def _prepared(self) -> tuple[Prepared, dict[str, Any]]:
        """What is quantized, and how; blobs that are `rescaled` or `centered` equal no ONNX tensor now."""
        graph, calibrated = self.graph, self.calibrated
        facts: dict[str, Any] = {"quantization": self.int8.to_json()}
        if self.int8.equalize:
            graph, equalized = equalize_calibrated(graph, self.data, self.progress)
            calibrated = Calibrated(equalized.statistics, calibrated.doubts)
            facts["rescaled"] = sorted(set(self.graph.origins) - set(graph.origins))
        self._calibration_facts = calibration_facts(calibrated, self.int8.method)
        prepared = prepare(graph, self.data, calibrated, self.int8)
        facts["centered"] = dict(prepared.offsets)
        return prepared, facts

    def _quantized(self) -> tuple[Graph, dict[str, Any]]:
        prepared, facts = self._prepared
        return quantize_prepared(prepared, self.data, self.int8, self.progress), dict(facts)

    def _mixed(self) -> tuple[Graph, dict[str, Any]]:
        if self.mixer is None:
            raise UsageError("a mixed variant is made for a device, and none was given")
        prepared, facts = self._prepared
        recipe = Recipe(
            apply_half_masks(prepared.graph, {mask.layer: mask.bits for mask in self._half_masks}),
            prepared.thresholds,
            self.int8.quantize_options,
            self._judged(prepared.graph),
            self.check.outputs,
            self.check.matte,
            self.folder,
            self.manifest,
            self.progress,
        )
        mixed, found = self.mixer.mix(recipe)
        return mixed, {**facts, **found}

    def _judged(self, graph: Graph) -> list[Mapping[str, FloatArray]]:
        """Return what mixes are judged by, as samples by blob."""
        samples = list(blob_samples(graph, self.data, spread(len(self.data), _JUDGED)))
        return with_variations(samples, self.data.preprocessing, _JUDGED)
