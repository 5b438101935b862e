"""An int8 variant from the float graph, calibrated: the methods that were asked for, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mobiledeploy.arrays import FloatArray
from mobiledeploy.convert.calibration import Calibrated, calibrate, thresholds
from mobiledeploy.convert.int8_options import Int8Options
from mobiledeploy.convert.samples import Inputs, spread
from mobiledeploy.progress import Progress
from ncnn_tools.graph import Graph
from ncnn_tools.quantization import (
    InputStatistics,
    collect_input_statistics,
    collect_ranges,
    equalize,
    quantize,
)

# Means over windows, of which one picture has thousands, settle soon; this bounds the time, whatever is calibrated on.
_MOST_SAMPLES = 16


def equalize_calibrated(graph: Graph, data: Inputs, progress: Progress) -> tuple[Graph, Calibrated]:
    """Return the equalized graph, which computes the same, with statistics of its own activations.

    Raises as `calibrate` does.
    """
    progress("evening out channels", 0, 0)
    seen = graph.copy()  # gets shapes
    ranges = collect_ranges(seen, blob_samples(seen, data, range(len(data))), threads=2)
    equalized = equalize(seen, ranges)
    return equalized, calibrate(equalized, data, progress)


def quantize_calibrated(
    graph: Graph, data: Inputs, calibrated: Calibrated, options: Int8Options, progress: Progress
) -> Graph:
    """Return the graph in int8; where a method needs it, runs it on a few of the inputs, evenly spaced.

    `calibrated` is of this graph (after `equalize_calibrated`, where it was called).
    """
    clipped = thresholds(graph, calibrated.statistics, options.method)
    statistics = None
    if options.bias_correction or options.rounding:
        progress("measuring what int8 shifts", 0, 0)
        statistics = _statistics(graph, data, clipped, moments=options.rounding)
    return quantize(graph, clipped, options.quantize_options, statistics)


def _statistics(
    graph: Graph, data: Inputs, clipped: Mapping[str, float], *, moments: bool
) -> dict[str, InputStatistics]:
    samples = blob_samples(graph, data, spread(len(data), _MOST_SAMPLES))
    return collect_input_statistics(graph, samples, clipped, moments=moments, threads=2)


def blob_samples(graph: Graph, data: Inputs, places: Sequence[int]) -> Iterator[dict[str, FloatArray]]:
    """Yield inputs by their blobs, without a batch axis."""
    blob_of = dict(zip((spec.name for spec in data.inputs), graph.inputs, strict=True))
    for place in places:
        yield {blob_of[name]: array[0] for name, array in data.sample(place).items()}
