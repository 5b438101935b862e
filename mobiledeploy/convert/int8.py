"""The methods that `convert` makes int8 variants by: those that measured better (`docs/quantization.md`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mobiledeploy.convert.samples import InputData
from mobiledeploy.progress import Progress
from ncnn_tools.graph import Graph
from ncnn_tools.quantization import InputStatistics, QuantizeOptions, collect_input_statistics, quantize

OPTIONS = QuantizeOptions(bias_correction=True, chains=True)

# Means over windows, of which one picture has thousands, settle soon; this bounds the time, whatever is calibrated on.
_MOST_SAMPLES = 16


def quantize_calibrated(
    graph: Graph, data: InputData, thresholds: Mapping[str, float], progress: Progress
) -> Graph:
    """Return the graph in int8; runs it on a few of the calibration files, evenly spaced, to correct biases."""
    places = np.unique(np.linspace(0, len(data.files) - 1, _MOST_SAMPLES).round().astype(int))
    progress("measuring what int8 shifts", 0, 0)
    return quantize(graph, thresholds, OPTIONS, _statistics(graph, data, places, thresholds))


def _statistics(
    graph: Graph, data: InputData, places: npt.NDArray[np.int_], thresholds: Mapping[str, float]
) -> dict[str, InputStatistics]:
    blob_of = dict(zip((spec.name for spec in data.inputs), graph.inputs, strict=True))
    samples = (
        {blob_of[name]: array[0] for name, array in sample.items()}
        for sample in data.load([data.files[place] for place in places])
    )
    return collect_input_statistics(graph, samples, thresholds, moments=OPTIONS.rounding, threads=2)
