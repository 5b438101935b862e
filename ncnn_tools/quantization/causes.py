"""Where a layer's int8 error comes from, measured at its own output and in its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer
from ncnn_tools.quantization.layers import is_int8, weight_rows
from ncnn_tools.quantization.scales import LEVELS, round_half_away
from ncnn_tools.quantization.statistics import ChannelRanges, collect_ranges
from ncnn_tools.quantization.windows import layer_rows
from ncnn_tools.runtime import Array, Runtime

Float64 = npt.NDArray[np.float64]

_ROWS_A_SAMPLE = 256  # as for the statistics of rounding: neighbouring windows say much the same
_SEED = 0


@dataclass(frozen=True)
class ErrorSources:
    """What there is to say of a layer's int8 error.

    `activation_share` (0..1): the error's power at the layer's output where its input alone is quantized, of that and
    the power where its weights alone are. `clipped_share` (0..1): of the input's own error, what clipping does; the
    rest is rounding. `peak`, `rms` and `step` (the distance of two levels) are of the input; `peak_channel` is the
    channel that reaches furthest, and `channel_spread` how many times further than the median of those that are not
    dead. `weight_peak_to_rms` is the largest of any output's weights. A dead input channel is always zero, a dead
    output has no weight but zeros.
    """

    activation_share: float
    clipped_share: float
    peak: float
    rms: float
    step: float
    peak_channel: int
    channel_spread: float
    weight_peak_to_rms: float
    dead_inputs: int
    dead_outputs: int

    @property
    def peak_to_rms(self) -> float:
        """How far the input's largest value stands out."""
        return self.peak / self.rms if self.rms else 0.0

    @property
    def steps(self) -> float:
        """How many levels the input's rms is: what its resolution is."""
        return self.rms / self.step


def error_sources(
    float_graph: Graph, int8_graph: Graph, samples: Sequence[Mapping[str, Array]]
) -> dict[str, ErrorSources]:
    """Run the samples through the float graph and return the sources of each int8 layer's error.

    The graphs are those of `take_layers`; the float graph gets the shapes of its blobs. Raises GraphError where they
    are not one graph.
    """
    floats = {layer.name: layer for layer in float_graph.layers}
    pairs = []
    for layer in int8_graph.layers:
        if is_int8(layer):
            if layer.name not in floats or "weight" not in floats[layer.name].weights:
                raise GraphError(f"layer {layer.name!r} is another one in the float graph")
            pairs.append(_Pair(floats[layer.name], layer))
    ranges = collect_ranges(float_graph, samples)
    runtime = Runtime.from_graph(float_graph)
    blobs = sorted({pair.layer.inputs[0] for pair in pairs})
    generator = np.random.default_rng(_SEED)
    for sample in samples:
        values = runtime.run(sample, blobs)
        for pair in pairs:
            pair.add(values[pair.layer.inputs[0]], generator)
    return {pair.layer.name: pair.sources(ranges[pair.layer.inputs[0]]) for pair in pairs}


@dataclass
class _Power:
    """The power of errors of (outputs, rows), with or without their mean over rows."""

    count: int = 0
    total: Float64 | float = 0.0
    squares: Float64 | float = 0.0

    def add(self, errors: Float64) -> None:
        self.count += errors.shape[1]
        self.total = self.total + errors.sum(axis=1)
        self.squares = self.squares + np.square(errors).sum(axis=1)

    def of(self, *, without_mean: bool) -> float:
        mean = np.asarray(self.total) / self.count if without_mean else 0.0
        return float((np.asarray(self.squares) / self.count - np.square(mean)).clip(0).sum())


@dataclass
class _Pair:
    """A layer in float and in int8, and the errors seen of it."""

    layer: Layer
    quantized: Layer
    from_weights: _Power = field(default_factory=_Power)
    from_input: _Power = field(default_factory=_Power)
    clipped: float = 0.0
    rounded: float = 0.0

    def __post_init__(self) -> None:
        self.scale = self.quantized.weights["input_scale"].values()[0]
        self.rows = weight_rows(self.layer).astype(np.float64)
        scales = self.quantized.weights["weight_scales"].values()[:, None]
        self.error = weight_rows(self.quantized) / scales - self.rows

    def add(self, values: Array, generator: np.random.Generator) -> None:
        limit = LEVELS / self.scale
        error = self._quantized(values) - values
        beyond = np.abs(values) > limit
        self.clipped += float(np.square(error[beyond], dtype=np.float64).sum())
        self.rounded += float(np.square(error[~beyond], dtype=np.float64).sum())
        rows = layer_rows(self.layer, values, _ROWS_A_SAMPLE, generator)
        self.from_weights.add(self._multiplied(rows, self.error))
        self.from_input.add(self._multiplied(self._quantized(rows) - rows, self.rows))

    def _quantized(self, values: Array) -> Array:
        quantized: Array = (round_half_away(values * self.scale) / self.scale).astype(np.float32)
        return quantized

    def _multiplied(self, rows: Array, weights: Float64) -> Float64:
        """Multiply (groups, rows, columns) with each group's weights (outputs, columns); returns (outputs, rows)."""
        groups = len(rows)
        product: Float64 = weights.reshape(groups, -1, weights.shape[1]) @ rows.transpose(0, 2, 1)
        return product.reshape(len(weights), -1)

    def sources(self, seen: ChannelRanges) -> ErrorSources:
        # A corrected bias has taken the mean error off.
        without_mean = self._bias(self.quantized).tolist() != self._bias(self.layer).tolist()
        powers = [power.of(without_mean=without_mean) for power in (self.from_input, self.from_weights)]
        error = self.clipped + self.rounded
        alive = seen.largest[seen.largest > 0]
        rms = np.sqrt(np.square(self.rows).mean(axis=1))
        peaks = np.abs(self.rows).max(axis=1)
        return ErrorSources(
            activation_share=powers[0] / sum(powers) if sum(powers) else 0.0,
            clipped_share=self.clipped / error if error else 0.0,
            peak=float(seen.largest.max()),
            rms=float(np.sqrt(seen.power.mean())),
            step=1 / float(self.scale),
            peak_channel=int(seen.largest.argmax()),
            channel_spread=float(alive.max() / np.median(alive)) if len(alive) else 1.0,
            weight_peak_to_rms=float(np.divide(peaks, rms, out=np.zeros_like(rms), where=rms > 0).max()),
            dead_inputs=int(np.count_nonzero(seen.largest == 0)),
            dead_outputs=int(np.count_nonzero(peaks == 0)),
        )

    def _bias(self, layer: Layer) -> Array:
        return (
            layer.weights["bias"].values()
            if "bias" in layer.weights
            else np.zeros(len(self.rows), np.float32)
        )
