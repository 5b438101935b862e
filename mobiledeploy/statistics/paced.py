"""Camera-paced: latency when an inference starts at every frame, not as soon as the last one is done."""

from __future__ import annotations

from dataclasses import dataclass

from mobiledeploy.statistics.compare import Ratio, paired_ratio
from mobiledeploy.statistics.samples import Samples
from mobiledeploy.statistics.summary import Summary, summarize


@dataclass(frozen=True)
class Paced:
    """Figures at a frame rate. `missed` is the share of inferences that were not done when the next frame came.

    `gap` is the time at that rate over the time back to back.
    """

    pace_hz: float
    summary: Summary
    missed: float
    gap: Ratio


def paced_figures(samples: Samples, pace_hz: float, back_to_back: Samples) -> Paced:
    """Return the figures of a paced phase of at least one sample, beside the steady phase of the same launches.

    The deadline of an inference is one period after the frame that it waited for, `samples.due_ms`. Cores that
    idle between frames lower their clocks, which is why the gap is usually above 1. The phases are compared launch
    by launch. Raises ValueError for samples that waited for no frame.
    """
    if samples.due_ms is None:
        raise ValueError("the samples are not paced")
    done_ms = samples.started_ms + samples.times_ms
    return Paced(
        pace_hz=pace_hz,
        summary=summarize(samples),
        missed=float((done_ms > samples.due_ms + 1000 / pace_hz).mean()),
        gap=paired_ratio(back_to_back, samples),
    )
