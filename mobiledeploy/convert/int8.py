"""An int8 variant from the float graph, calibrated: the methods that were asked for, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mobiledeploy.arrays import FloatArray
from mobiledeploy.convert.calibration import Calibrated, calibrate, thresholds
from mobiledeploy.convert.int8_options import Int8Options
from mobiledeploy.convert.samples import Inputs, spread
from mobiledeploy.progress import Progress
from ncnn_tools.graph import Graph
from ncnn_tools.quantization import (
    CENTERED_LEVELS,
    InputStatistics,
    center,
    centered_thresholds,
    centering_offsets,
    collect_input_statistics,
    collect_ranges,
    equalize,
    quantize,
)
from ncnn_tools.runtime import Runtime

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


@dataclass(frozen=True)
class Prepared:
    """The float graph that int8 layers are made from, with the shapes of its blobs.

    `thresholds` says for the input of each layer that can be int8 where it is clipped, and `offsets` what blobs were
    taken from, by `ncnn_tools.quantization.center`.
    """

    graph: Graph
    thresholds: Mapping[str, float]
    offsets: Mapping[str, float]


def prepare(graph: Graph, data: Inputs, calibrated: Calibrated, options: Int8Options) -> Prepared:
    """Find where activations are clipped, and center those that are never negative, where that is asked for.

    `calibrated` is of this graph (after `equalize_calibrated`, where it was called).
    """
    known = with_shapes(graph, next(blob_samples(graph, data, [0])))
    clipped = thresholds(known, calibrated.statistics, options.method)
    if not (options.center and options.bias_correction):
        return Prepared(known, clipped, {})
    offsets = centering_offsets(
        known, thresholds(known, calibrated.statistics, options.method, CENTERED_LEVELS)
    )
    return Prepared(center(known, offsets), centered_thresholds(clipped, offsets), offsets)


def with_shapes(graph: Graph, sample: Mapping[str, FloatArray]) -> Graph:
    """Return a graph with the shape of every blob, which one read from files does not know."""
    known = graph.copy()
    found = Runtime.from_graph(known).visit(sample, known.blobs())
    known.shapes = {blob: values.shape for blob, values in found}
    return known


def quantize_prepared(prepared: Prepared, data: Inputs, options: Int8Options, progress: Progress) -> Graph:
    """Return the graph in int8; where a method needs it, runs it on a few of the inputs, evenly spaced."""
    graph, clipped = prepared.graph, prepared.thresholds
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
