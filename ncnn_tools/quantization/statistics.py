"""What the methods need to know of a layer's input: the range of each channel, mean and second moments of its rows.

Memory is bounded by the layers' sizes, whatever the number of samples: second moments are kept as one matrix a
layer, of 8 bytes for each pair of weights of an output, from a bounded number of rows a sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.quantization.layers import quantizable_layers
from ncnn_tools.quantization.scales import round_half_away, to_scales
from ncnn_tools.quantization.windows import layer_rows, mean_row
from ncnn_tools.runtime import Array, Runtime, RuntimeOptions

Float64 = npt.NDArray[np.float64]
Samples = Iterable[Mapping[str, Array]]

_ROWS_A_SAMPLE = 256  # neighbouring windows say much the same; this many, over a few samples, fill the matrix
_LARGEST_MATRIX = 2500  # columns: 50 MB of second moments; larger layers have none, and round to nearest
_SEED = 0


@dataclass
class InputStatistics:
    """Of the rows of a layer's input (see `windows`), by group.

    `error_mean` is the mean of (quantized - float) of each column, (groups, columns). `float_mean` is the float
    mean. `moments` is the sum of products of the *quantized* input's columns, (groups, columns, columns), from
    `rows` rows; None for layers that are too large for it.
    """

    float_mean: Float64
    error_mean: Float64
    moments: Float64 | None
    rows: int = 0
    samples: int = 0


@dataclass
class ChannelRanges:
    """Of each channel of a blob: the lowest and the highest value, and the mean square."""

    low: Array
    high: Array
    power: Float64

    @property
    def largest(self) -> Array:
        """The largest magnitude of each channel."""
        result: Array = np.maximum(np.abs(self.low), np.abs(self.high))
        return result


def collect_ranges(graph: Graph, samples: Samples, *, threads: int = 1) -> dict[str, ChannelRanges]:
    """Run samples (input blob → array) and return the ranges of each channel, by quantizable layers' input.

    Also notes the shape of every blob in the graph, which it learns from the first sample.
    """
    runtime = Runtime.from_graph(graph, RuntimeOptions(threads=threads))
    blobs = sorted({layer.inputs[0] for layer in quantizable_layers(graph)})
    ranges: dict[str, ChannelRanges] = {}
    count = 0
    for count, sample in enumerate(samples, start=1):
        values = runtime.run(sample, blobs if count > 1 else graph.blobs())
        if count == 1:
            graph.shapes.update({blob: array.shape for blob, array in values.items()})
        for blob in blobs:
            flat = values[blob].reshape(len(values[blob]), -1)
            low, high = flat.min(axis=1), flat.max(axis=1)
            power = np.square(flat, dtype=np.float64).mean(axis=1)
            if blob in ranges:
                seen = ranges[blob]
                low, high = np.minimum(low, seen.low), np.maximum(high, seen.high)
                power = power + seen.power
            ranges[blob] = ChannelRanges(low, high, power)
    for seen in ranges.values():
        seen.power /= count
    return ranges


def collect_input_statistics(
    graph: Graph, samples: Samples, thresholds: Mapping[str, float], *, moments: bool = True, threads: int = 1
) -> dict[str, InputStatistics]:
    """Run samples through the float graph once; returns statistics of the input of each layer to be quantized.

    `thresholds` are those that the layers will be quantized with. Without `moments` the matrices, which cost most
    of the time, are left out.
    """
    runtime = Runtime.from_graph(graph, RuntimeOptions(threads=threads))
    layers = [layer for layer in quantizable_layers(graph) if layer.inputs[0] in thresholds]
    blobs = sorted({layer.inputs[0] for layer in layers})
    found: dict[str, InputStatistics] = {}
    generator = np.random.default_rng(_SEED)
    for sample in samples:
        values = runtime.run(sample, blobs)
        for layer in layers:
            blob = layer.inputs[0]
            scale = to_scales(thresholds[blob])
            quantized = (round_half_away(values[blob] * scale) / scale).astype(np.float32)
            rows = layer_rows(layer, quantized, _ROWS_A_SAMPLE, generator) if moments else None
            _add(found, layer, values[blob], quantized, rows)
    for entry in found.values():
        entry.float_mean /= entry.samples
        entry.error_mean /= entry.samples
    return found


def _add(
    found: dict[str, InputStatistics], layer: Layer, values: Array, quantized: Array, rows: Array | None
) -> None:
    mean = mean_row(layer, values)
    error = mean_row(layer, quantized) - mean  # what is padded with has none
    entry = found.get(layer.name)
    if entry is None:
        small = rows is not None and rows.shape[2] <= _LARGEST_MATRIX
        zeros = (
            np.zeros((rows.shape[0], rows.shape[2], rows.shape[2])) if rows is not None and small else None
        )
        entry = found[layer.name] = InputStatistics(np.zeros_like(mean), np.zeros_like(error), zeros)
    entry.float_mean += mean
    entry.error_mean += error
    entry.samples += 1
    if entry.moments is not None and rows is not None:
        entry.moments += np.matmul(rows.transpose(0, 2, 1), rows)
        entry.rows += rows.shape[1]
