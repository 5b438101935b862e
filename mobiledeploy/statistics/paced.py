"""Camera-paced: latency when an inference starts at every frame, not as soon as the last one is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mobiledeploy.statistics.compare import Ratio, unpaired_ratio
from mobiledeploy.statistics.samples import Samples
from mobiledeploy.statistics.summary import Summary, summarize


@dataclass(frozen=True)
class Paced:
    """Figures at a frame rate. `gap` is the time at that rate over the time back to back, None without the latter.

    `missed` is the share of inferences that take longer than a frame; `skipped` how many frames passed between the
    first start and the last without an inference.
    """

    pace_hz: float
    summary: Summary
    missed: float
    skipped: int
    gap: Ratio | None


def paced_figures(samples: Samples, pace_hz: float, back_to_back: Samples | None = None) -> Paced:
    """Return the figures of a paced run of at least one sample.

    The deadline of an inference is the next frame, one period after its start. Cores that idle between frames lower
    their clocks, which is why the gap is usually above 1.
    """
    period_ms = 1000 / pace_hz
    skipped = sum(
        max(0, round(float(np.ptp(starts)) / period_ms) + 1 - len(starts))
        for starts in samples.by_launch(samples.started_ms)
    )
    return Paced(
        pace_hz=pace_hz,
        summary=summarize(samples),
        missed=float((samples.times_ms > period_ms).mean()),
        skipped=skipped,
        gap=unpaired_ratio(back_to_back, samples) if back_to_back is not None else None,
    )
