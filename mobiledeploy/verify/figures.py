"""What verifying measures, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import MANIFEST, Bundle, file_hash
from mobiledeploy.metrics.clip import flicker
from mobiledeploy.metrics.mask import mask_iou
from mobiledeploy.metrics.matting import (
    edge_error,
    gradient_error,
    mean_error,
    squared_error,
    sum_error,
)
from mobiledeploy.metrics.parity import max_abs, mean_abs

SCHEMA = 1
REFERENCE = "onnx"  # the name of onnxruntime's row among the variants


@dataclass(frozen=True)
class OutputFigures:
    """An output against onnxruntime's: |difference|, in the output's own unit."""

    max_abs: float
    mean_abs: float


@dataclass(frozen=True)
class MatteFigures:
    """A matte against another that is taken for right; `mobiledeploy.metrics` defines each figure.

    `edge` is None where the other has no edge; `flicker` is None for a picture that follows no other.
    """

    iou: float
    mae: float
    sad: float
    mse: float
    gradient: float
    edge: float | None
    flicker: float | None


@dataclass(frozen=True)
class PictureFigures:
    """A variant on one picture: its outputs and its matte against onnxruntime's, and its matte against the truth."""

    picture: str
    outputs: Mapping[str, OutputFigures]
    against_onnx: MatteFigures | None
    against_truth: MatteFigures | None


@dataclass(frozen=True)
class VariantFigures:
    """All pictures of one variant, or of the ONNX reference itself (`REFERENCE`), which has the truth alone."""

    precision: str
    pictures: tuple[PictureFigures, ...]

    def against(self, other: str) -> list[tuple[str, MatteFigures]]:
        """Return (picture, figures) against "onnx" or "truth", where there are any."""
        found = [
            (entry.picture, entry.against_truth if other == "truth" else entry.against_onnx)
            for entry in self.pictures
        ]
        return [(picture, figures) for picture, figures in found if figures is not None]


@dataclass(frozen=True)
class Verification:
    """A bundle on pictures. `clip` says that they are frames in order. `variants` has `REFERENCE` first, if at all."""

    bundle: Bundle
    source: str
    clip: bool
    variants: tuple[VariantFigures, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document that `--format json` prints: every figure of every picture, and the means."""
        return {
            "schema": SCHEMA,
            "kind": "verification",
            "model": self.bundle.name,
            "untrained": self.bundle.untrained,
            "bundle": {
                "path": str(self.bundle.path),
                "manifest_sha256": file_hash(self.bundle.path / MANIFEST),
            },
            "images": self.source,
            "clip": self.clip,
            "variants": [
                {
                    "precision": variant.precision,
                    "mean": {
                        other: asdict(mean_figures([figures for _, figures in variant.against(other)]))
                        for other in ("onnx", "truth")
                        if variant.against(other)
                    },
                    "pictures": [asdict(entry) for entry in variant.pictures],
                }
                for variant in self.variants
            ],
        }


def output_figures(output: FloatArray, expected: FloatArray) -> OutputFigures:
    """Compare an output with onnxruntime's."""
    return OutputFigures(max_abs(output, expected), mean_abs(output, expected))


def matte_figures(
    alpha: FloatArray, truth: FloatArray, before: tuple[FloatArray, FloatArray] | None = None
) -> MatteFigures:
    """Compare two mattes, H x W; `before` holds both of the frame before, where there is one."""
    return MatteFigures(
        iou=mask_iou(alpha[None], truth[None]),
        mae=mean_error(alpha, truth),
        sad=sum_error(alpha, truth),
        mse=squared_error(alpha, truth),
        gradient=gradient_error(alpha, truth),
        edge=edge_error(alpha, truth),
        flicker=None if before is None else flicker(before[0], alpha, before[1], truth),
    )


def mean_figures(entries: Sequence[MatteFigures]) -> MatteFigures:
    """Return the mean of each figure over the pictures that have it; `entries` must not be empty."""
    means: dict[str, Any] = {}
    for field in fields(MatteFigures):
        values = [value for entry in entries if (value := getattr(entry, field.name)) is not None]
        means[field.name] = float(np.mean(values)) if values else None
    return MatteFigures(**means)
