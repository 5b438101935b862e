"""From which error on a tensor counts as bad.

What computes in float32 throughout agrees in every value, so there the largest error is bounded. With fp16 and int8
single values may be far off in a model that is sound (one pixel of an edge, behind a sigmoid), while a tensor as a
whole is not: there the SNR is bounded. docs/diff.md has the measurements behind the figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mobiledeploy.diff.measures import Figures
from mobiledeploy.diff.source import Source
from ncnn_tools.half_precision import MIN_SNR_DB

_FP32_RELATIVE = 1e-3
_STORED_FP16_SNR_DB = 40.0
_FP16_SNR_DB = MIN_SNR_DB  # for what convert does not mask
_INT8_SNR_DB = 8.0  # also of mixed precisions


@dataclass(frozen=True)
class Bound:
    """What a tensor must keep: at most this relative error, and at least this SNR, where they are given."""

    max_relative: float | None = None
    min_snr_db: float | None = None

    def broken_by(self, figures: Figures | None) -> bool:
        """Say whether a tensor is bad; None stands for one of another size."""
        if figures is None or figures.broken:
            return True
        if self.max_relative is not None and not figures.relative <= self.max_relative:
            return True
        return self.min_snr_db is not None and not figures.snr_db >= self.min_snr_db

    @property
    def tolerance(self) -> float:
        """The relative error up to which two tensors are taken for the same; that of noise at the lowest SNR."""
        if self.max_relative is not None:
            return self.max_relative
        return 1.0 if self.min_snr_db is None else math.pow(10, -self.min_snr_db / 20)

    def __str__(self) -> str:
        parts = []
        if self.max_relative is not None:
            parts.append(f"a relative error of at most {self.max_relative:g}")
        if self.min_snr_db is not None:
            parts.append(f"an SNR of at least {self.min_snr_db:g} dB")
        return " and ".join(parts)


def default_bound(reference: Source, candidate: Source) -> Bound:
    """Return what is kept between two models of these kinds where nothing is wrong."""
    snr = min(_lowest_snr(source) for source in (reference, candidate))
    return Bound(max_relative=_FP32_RELATIVE) if snr == math.inf else Bound(min_snr_db=snr)


def _lowest_snr(source: Source) -> float:
    if source.kind in ("torch", "onnx", "fp32"):
        return math.inf
    if source.kind == "fp16":
        return _FP16_SNR_DB if source.halves else _STORED_FP16_SNR_DB
    return _INT8_SNR_DB
