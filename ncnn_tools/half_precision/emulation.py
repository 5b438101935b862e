"""Run a graph as an ARM phone with fp16 arithmetic (asimdhp) would, on a computer whose ncnn computes in fp32.

Layer by layer: a layer with fp16 kernels takes its inputs rounded to fp16, has rounded weights, and gives a rounded
output; Convolution, ConvolutionDepthWise and InnerProduct also add up in fp16 (`arithmetic`). Layers without fp16
kernels, and those whose feature mask says so (`get_masked_option` and `convert_layout` in src/net.cpp), do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, Storage, Weight
from ncnn_tools.half_precision.arithmetic import accumulates, half_output
from ncnn_tools.half_precision.rounding import LARGEST, Array, to_half
from ncnn_tools.quantization.layers import is_int8
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import MASK_NO_FP16_ARITHMETIC, MASK_NO_FP16_STORAGE, Fp16, fp16_on_arm

# They round biases and slopes where they compute in fp16; other layers compute something in fp32 from theirs first.
_ROUNDS_RAW = {
    "Convolution",
    "ConvolutionDepthWise",
    "Deconvolution",
    "DeconvolutionDepthWise",
    "InnerProduct",
    "PReLU",
}


class Precision(Enum):
    """How a layer computes."""

    FLOAT = "fp32"
    STORED = "fp16 storage"  # of what it takes and gives, and of its weights; sums in fp32
    HALF = "fp16"


def precision_of(layer: Layer, mask: int) -> Precision:
    """Return how a layer with this feature mask computes on a phone with fp16 arithmetic."""
    kind = fp16_on_arm(layer.type, layer.integer)
    if kind is Fp16.NONE or mask & MASK_NO_FP16_STORAGE:
        return Precision.FLOAT
    return Precision.STORED if mask & MASK_NO_FP16_ARITHMETIC else Precision.HALF


@dataclass(frozen=True)
class Step:
    """A layer that has run: what it was given, and what it gives, by blob.

    `overflowed` says that its sums went beyond fp16's range; then `outputs` are those of fp32 sums, so that what
    comes behind it can be judged too.
    """

    layer: Layer
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    overflowed: bool


class HalfEmulation:
    """A graph, loaded twice: with its own weights (`reference`), and with weights rounded to fp16."""

    def __init__(self, graph: Graph, *, largest: float = LARGEST) -> None:
        """Load a float graph, which has Splits; GraphError or RuntimeFailedError where it can't be run.

        A sum beyond `largest` counts as an overflow: less than 65504 leaves room for other inputs.
        """
        if int8 := next((layer.name for layer in graph.layers if is_int8(layer)), None):
            raise GraphError(f"layer {int8!r} is int8; fp16 is emulated before a graph is quantized")
        self.graph = graph
        self._largest = largest
        self.reference = Runtime.from_graph(graph)
        rounded = _with_rounded_weights(graph)
        self._half = Runtime.from_graph(rounded)
        self._rounded = {layer.name: layer for layer in rounded.layers}

    def outputs(
        self, sample: Mapping[str, Array], masks: Mapping[str, int] | None = None
    ) -> dict[str, Array]:
        """Run a sample (input blob → float32 array without batch) and return the graph's outputs.

        An overflow shows in them: as an infinity or NaN, or as what the layers behind make of it. `masks` are added
        to the layers' own feature masks, by their names.
        """
        found: dict[str, Array] = {}
        for step in self.steps(sample, masks, heal=False):
            found.update({blob: step.outputs[blob] for blob in step.outputs if blob in self.graph.outputs})
        return found

    def steps(
        self, sample: Mapping[str, Array], masks: Mapping[str, int] | None = None, *, heal: bool = True
    ) -> Iterator[Step]:
        """Run a sample layer by layer. With `heal`, sums that overflow are replaced by those of fp32."""
        waiting = Counter(blob for layer in self.graph.layers for blob in layer.inputs)
        blobs: dict[str, Array] = {blob: np.asarray(values, np.float32) for blob, values in sample.items()}
        for layer in self.graph.layers:
            if layer.type == "Input":
                continue
            inputs = {blob: blobs[blob] for blob in layer.inputs}
            mask = layer.feature_mask | (masks or {}).get(layer.name, 0)
            step = self.run_layer(layer, inputs, precision_of(layer, mask), heal=heal)
            blobs.update(step.outputs)
            yield step
            waiting.subtract(layer.inputs)
            for blob in inputs:
                if not waiting[blob]:
                    del blobs[blob]

    def run_layer(
        self, layer: Layer, inputs: Mapping[str, Array], precision: Precision, *, heal: bool = True
    ) -> Step:
        """Run one layer on the values of its inputs."""
        if precision is Precision.FLOAT:
            return Step(layer, inputs, self.reference.run(inputs, layer.outputs), overflowed=False)
        halves = {blob: to_half(values) for blob, values in inputs.items()}
        stored = self._half.run(halves, layer.outputs)
        outputs = {blob: to_half(values) for blob, values in stored.items()}
        values = next(iter(halves.values()))
        if precision is Precision.STORED or not accumulates(layer, values):
            return Step(layer, halves, outputs, overflowed=False)
        summed = half_output(self._rounded[layer.name], values, self._largest)
        finite = np.isfinite(summed).all() or not np.isfinite(stored[layer.outputs[0]]).all()
        if not finite and heal:
            return Step(layer, halves, outputs, overflowed=True)
        return Step(layer, halves, {layer.outputs[0]: summed}, overflowed=not finite)

    def rest(self, sample: Mapping[str, Array], step: Step) -> dict[str, Array]:
        """Return the graph's outputs in fp32, but that one layer gave what it did in this step."""
        return self.reference.run({**sample, **step.outputs}, self.graph.outputs)


def _with_rounded_weights(graph: Graph) -> Graph:
    result = graph.copy()
    for layer in result.layers:
        for name in _rounded_names(layer):
            weight = layer.weights[name]
            layer.weights[name] = Weight(to_half(weight.values()), weight.storage)
    return result


def rounded_weights(layer: Layer) -> list[Array]:
    """Return the values of those weights that a layer rounds to fp16 where it computes in it."""
    return [layer.weights[name].values() for name in _rounded_names(layer)]


def _rounded_names(layer: Layer) -> list[str]:
    tagged = [name for name, weight in layer.weights.items() if weight.storage is Storage.FP32]
    raw = [name for name in ("bias", "slope") if name in layer.weights and layer.type in _ROUNDS_RAW]
    return tagged + raw
