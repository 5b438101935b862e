"""Which layers can't run in fp16: those that overflow, and those that lose too much, found by emulation.

A blob that reaches beyond fp16's range makes every layer on it, before and behind, compute in fp32, and so do sums
that overflow. Where the outputs are still not right, the layers that add most to their error are masked, as few as
suffice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.half_precision.emulation import HalfEmulation, Precision, precision_of, rounded_weights
from ncnn_tools.half_precision.masks import ALL_FP32, HalfMask
from ncnn_tools.half_precision.rounding import LARGEST, Array
from ncnn_tools.schema import MASK_NO_FP16_ARITHMETIC

# What an output of a sound network keeps in fp16: docs/diff.md has what was measured on tensors of sound networks.
MIN_SNR_DB = 20.0
# Other inputs may reach further than the samples; what overflows up to this many times their values is masked.
_MARGIN = 2.0
# Samples that are run in fp16, which takes seconds each; the ranges of blobs are those of all samples.
_EMULATED = 2
# InnerProduct has kernels of its own for fp32 sums of fp16 values. Convolutions have not: with fp16 blobs and fp32 sums
# they run neither as winograd nor as matrix products, which takes three times the instructions of fp32 throughout
# (docs/half-precision.md).
_SUMS_IN_FP32 = {"InnerProduct": MASK_NO_FP16_ARITHMETIC}
_PRUNED = 12  # masks that are each tried without; with more the search would take minutes

Sample = Mapping[str, Array]


def find_half_masks(
    graph: Graph, samples: Sequence[Sample], *, min_snr_db: float = MIN_SNR_DB
) -> list[HalfMask]:
    """Return the layers that are to be kept out of fp16 for right outputs, in order; none where all is well.

    `graph` is a float graph with Splits, `samples` map its inputs to float32 arrays without batch; two of them are run
    in fp16. An output is right whose SNR against fp32 is `min_snr_db` or more.
    """
    search = _Search(graph, samples, min_snr_db)
    search.mask_overflows()
    search.mask_losses()
    return [search.masks[layer.name] for layer in graph.layers if layer.name in search.masks]


@dataclass(frozen=True)
class _Loss:
    """What a layer alone in fp16 adds to the outputs' error: noise power over the signal's, of the worst output."""

    layer: Layer
    power: float


class _Search:
    def __init__(self, graph: Graph, samples: Sequence[Sample], min_snr_db: float) -> None:
        self.graph = graph
        self.samples = samples
        self.masks: dict[str, HalfMask] = {}
        self._emulation = HalfEmulation(graph, largest=LARGEST / _MARGIN)
        self._wanted_db = min_snr_db
        self._largest: dict[str, float] = {}  # |value| of each blob in fp32
        self._expected: list[dict[str, Array]] = []
        self._run_fp32()

    def _run_fp32(self) -> None:
        for number, sample in enumerate(self.samples):
            expected = {}
            for blob, values in self._emulation.reference.visit(sample, self.graph.blobs()):
                self._largest[blob] = max(
                    self._largest.get(blob, 0.0), float(np.abs(values).max(initial=0.0))
                )
                if blob in self.graph.outputs and number < _EMULATED:
                    expected[blob] = np.array(values)
            if expected:
                self._expected.append(expected)

    def mask_overflows(self) -> None:
        """Mask layers on blobs or with weights that fp16 can't hold, then those whose sums overflow."""
        for layer in self.graph.layers:
            if precision_of(layer, layer.feature_mask) is not Precision.FLOAT:
                self._mask_beyond_range(layer)
        self._noise = self._measure(self._bits())

    def _mask_beyond_range(self, layer: Layer) -> None:
        blob = max([*layer.inputs, *layer.outputs], key=lambda name: self._largest[name])
        if self._largest[blob] * _MARGIN > LARGEST:
            self._mask(
                layer, ALL_FP32, f"blob {blob!r} reaches {self._largest[blob]:.3g}, and fp16 ends at 65504"
            )
            return
        weight = max(
            (float(np.abs(values).max(initial=0.0)) for values in rounded_weights(layer)), default=0.0
        )
        if weight > LARGEST:
            self._mask(layer, ALL_FP32, f"its weights reach {weight:.3g}, and fp16 ends at 65504")

    def _mask(self, layer: Layer, bits: int, reason: str) -> None:
        self.masks[layer.name] = HalfMask(layer.name, bits, reason)

    def _bits(self) -> dict[str, int]:
        return {name: mask.bits for name, mask in self.masks.items()}

    def _measure(self, bits: Mapping[str, int]) -> dict[str, float]:
        """Run all samples with these masks; returns each output's noise power over its signal's.

        A layer whose sums overflow is masked on the way, and counts as it is then.
        """
        noise = dict.fromkeys(self.graph.outputs, 0.0)
        signal = dict.fromkeys(self.graph.outputs, 0.0)
        for sample, expected in zip(self.samples[:_EMULATED], self._expected, strict=True):
            for step in self._emulation.steps(sample, bits):
                if step.overflowed and step.layer.name not in self.masks:
                    self._mask_sums(step.layer)
                for blob in set(step.outputs) & set(noise):
                    noise[blob] += _power(step.outputs[blob] - expected[blob])
                    signal[blob] += _power(expected[blob])
        return {blob: _ratio(noise[blob], signal[blob]) for blob in noise}

    def _mask_sums(self, layer: Layer) -> None:
        reach = max(self._largest[blob] for blob in (*layer.inputs, *layer.outputs))
        reason = f"its sums go beyond fp16, though what it takes and gives stays within {reach:.3g}"
        self._mask(layer, _SUMS_IN_FP32.get(layer.type, ALL_FP32), reason)

    def mask_losses(self) -> None:
        """Mask as few layers as it takes to get every output's SNR right, those that lose most first."""
        allowed = math.pow(10, -self._wanted_db / 10)
        output, noise = max(self._noise.items(), key=lambda entry: entry[1], default=("", 0.0))
        if noise <= allowed:
            return
        losses = sorted(self._losses(), key=lambda loss: -loss.power)
        total = sum(loss.power for loss in losses)
        for loss in self._fewest(losses, allowed):
            share = loss.power / total if 0 < total < math.inf else 1.0
            self._mask(
                loss.layer,
                ALL_FP32,
                f"makes {share:.1%} of the error of output {output!r}, whose SNR is {-10 * math.log10(noise):.1f} dB",
            )

    def _losses(self) -> Iterable[_Loss]:
        """Put each layer alone into fp16, on the first sample."""
        sample, expected = self.samples[0], self._expected[0]
        all_fp32 = {layer.name: ALL_FP32 for layer in self.graph.layers}
        bits = self._bits()
        for step in self._emulation.steps(sample, all_fp32):
            layer = step.layer
            precision = precision_of(layer, layer.feature_mask | bits.get(layer.name, 0))
            if precision is Precision.FLOAT:
                continue
            alone = self._emulation.run_layer(layer, step.inputs, precision)
            outputs = self._emulation.rest(sample, alone)
            powers = (
                _ratio(_power(outputs[blob] - right), _power(right)) for blob, right in expected.items()
            )
            yield _Loss(layer, max(powers))

    def _fewest(self, losses: Sequence[_Loss], allowed: float) -> list[_Loss]:
        """Return the fewest of the losses, the largest first, without which every output is right."""
        low, high = 1, len(losses)
        while low < high:
            middle = (low + high) // 2
            if self._suffices(losses[:middle], allowed):
                high = middle
            else:
                low = middle + 1
        chosen = list(losses[:low])
        return self._pruned(chosen, allowed) if low <= _PRUNED else chosen

    def _pruned(self, chosen: list[_Loss], allowed: float) -> list[_Loss]:
        for loss in chosen[-2::-1]:  # the last one is needed, as the search found
            without = [other for other in chosen if other is not loss]
            if self._suffices(without, allowed):
                chosen = without
        return chosen

    def _suffices(self, chosen: Sequence[_Loss], allowed: float) -> bool:
        bits = self._bits() | {loss.layer.name: ALL_FP32 for loss in chosen}
        return max(self._measure(bits).values()) <= allowed


def _power(values: Array) -> float:
    with np.errstate(all="ignore"):
        return float(np.square(values, dtype=np.float64).sum())


def _ratio(noise: float, signal: float) -> float:
    """Return noise over signal; infinite for what is no number, or noise without a signal."""
    if not math.isfinite(noise):
        return math.inf
    if noise == 0:
        return 0.0
    return noise / signal if signal else math.inf
