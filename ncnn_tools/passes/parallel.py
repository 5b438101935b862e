"""Merge convolutions of the same blob whose results are added or subtracted.

A convolution is linear in its weights: (A ∗ x + a) + (B ∗ x + b) = (A + B) ∗ x + (a + b), and likewise
with a minus, once both kernels stand on
the same taps, with zeros where one of them has none. x itself is the depthwise 1x1 kernel of ones, f·x + g that of
f with bias g, and a depthwise kernel is a dense one with zeros elsewhere. So RepVGG's and MobileOne's training-time
branches (arXiv:2101.03697, arXiv:2206.04040) become the single convolution that they stand for.

Both have to take the same steps and end equally far before the border, which makes their results the same size
for inputs of any size; and the merged weights may not be more than the two have now, so that nothing gets slower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes.affine import Float64, read_affine
from ncnn_tools.passes.linear import CONVOLUTIONS, bias_vector, is_linear, set_weights, weight_matrix
from ncnn_tools.passes.wiring import Wiring
from ncnn_tools.schema import binary_op


@dataclass(frozen=True)
class _Axis:
    """Where a kernel's taps are along one axis: `first`, `first + dilation`, …, in pixels of the input."""

    first: int
    dilation: int
    taps: int
    stride: int
    margin: int  # how far the padding after the input reaches beyond the last tap at the last pixel

    @property
    def last(self) -> int:
        return self.first + (self.taps - 1) * self.dilation

    def union(self, other: _Axis) -> _Axis | None:
        """Return the taps of both; None where they do not give results of the same size."""
        if self.stride != other.stride or self.margin != other.margin:
            return None
        first, last = min(self.first, other.first), max(self.last, other.last)
        steps = [axis.dilation for axis in (self, other) if axis.taps > 1]
        dilation = math.gcd(*steps, self.first - other.first) or 1
        taps = (last - first) // dilation + 1
        valid = first <= 0 and last + self.margin >= 0
        return _Axis(first, dilation, taps, self.stride, self.margin) if valid else None

    def places(self, whole: _Axis) -> slice:
        """Return which taps of `whole` are this kernel's."""
        start, step = (self.first - whole.first) // whole.dilation, self.dilation // whole.dilation
        return slice(start, start + (self.taps - 1) * max(step, 1) + 1, max(step, 1))


@dataclass(frozen=True)
class _Branch:
    """A convolution of `source`: weights (group, outputs a group, inputs a group, taps y, taps x), float64."""

    source: str
    layer: Layer | None  # None for the blob itself
    weight: Float64
    bias: Float64
    y: _Axis
    x: _Axis

    @property
    def weights(self) -> int:
        """How many weights it has now."""
        return self.weight.size if self.layer is not None and self.layer.type in CONVOLUTIONS else 0

    def negated(self) -> _Branch:
        return replace(self, weight=-self.weight, bias=-self.bias)


def merge_parallel_convolutions(graph: Graph) -> int:
    """Merge convolutions of a blob (or one and the blob) that are added or subtracted; return how many sums went."""
    merged = 0
    wiring = Wiring(graph)
    for layer in list(graph.layers):
        if (
            layer.type != "BinaryOp"
            or layer.get("op_type") not in (binary_op.ADD, binary_op.SUB)
            or len(layer.inputs) != 2
        ):
            continue
        convolution = _merge(graph, wiring, layer)
        if convolution is not None:
            graph.replace(layer, convolution)
            graph.remove(wiring.producers[blob] for blob in layer.inputs if blob != convolution.inputs[0])
            wiring = Wiring(graph)
            merged += 1
    return merged


def _merge(graph: Graph, wiring: Wiring, addition: Layer) -> Layer | None:
    shapes = [graph.shapes.get(blob) for blob in (*addition.inputs, *addition.outputs)]
    if shapes[0] is None or len(shapes[0]) != 3 or shapes.count(shapes[0]) != 3:
        return None
    options = [_branches(graph, wiring, blob) for blob in addition.inputs]
    for one in options[0]:
        for other in options[1]:
            second = other.negated() if addition.get("op_type") == binary_op.SUB else other
            convolution = _sum(addition, one, second) if one.source == other.source else None
            if convolution is not None:
                return convolution
    return None


def _branches(graph: Graph, wiring: Wiring, blob: str) -> list[_Branch]:
    """Return the ways to see a summand as a convolution: of its layer's input, and of itself."""
    channels = graph.shapes[blob][0]
    one, zero = np.ones(channels), np.zeros(channels)
    result = [_pointwise(blob, None, one, zero)]
    layer = wiring.producers[blob]
    if wiring.only_reader(blob) is None:
        return result
    if layer.type in CONVOLUTIONS and is_linear(layer):
        plain = not layer.get("activation_type") and not layer.get("pad_value") and len(layer.inputs) == 1
        pads = [layer.get(name) for name in ("pad_left", "pad_right", "pad_top", "pad_bottom")]
        return [*result, _of_convolution(layer)] if plain and min(pads) >= 0 else result
    found = read_affine(graph, layer, wiring.producers)
    along = found and found.affine.along(0, channels)
    if found and along:
        result.append(_pointwise(found.source, layer, along.factor, along.offset))
    return result


def _pointwise(source: str, layer: Layer | None, factor: Float64, offset: Float64) -> _Branch:
    here = _Axis(first=0, dilation=1, taps=1, stride=1, margin=0)
    return _Branch(source, layer, factor.reshape(-1, 1, 1, 1, 1), offset, here, here)


def _of_convolution(layer: Layer) -> _Branch:
    taps = (layer.get("kernel_h"), layer.get("kernel_w"))
    weight = weight_matrix(layer)
    axes = [
        _axis(layer, side, before, after)
        for side, before, after in (("h", "pad_top", "pad_bottom"), ("w", "pad_left", "pad_right"))
    ]
    return _Branch(
        layer.inputs[0], layer, weight.reshape(*weight.shape[:3], *taps), bias_vector(layer), *axes
    )


def _axis(layer: Layer, side: str, before: str, after: str) -> _Axis:
    first, dilation, taps = -layer.get(before), layer.get(f"dilation_{side}"), layer.get(f"kernel_{side}")
    last = first + (taps - 1) * dilation
    return _Axis(
        first, dilation if taps > 1 else 1, taps, layer.get(f"stride_{side}"), layer.get(after) - last
    )


def _sum(addition: Layer, one: _Branch, other: _Branch) -> Layer | None:
    y, x = one.y.union(other.y), one.x.union(other.x)
    groups = sorted((one.weight.shape[0], other.weight.shape[0]))
    inputs = {branch.weight.shape[0] * branch.weight.shape[2] for branch in (one, other)}
    if y is None or x is None or groups[1] % groups[0] or len(inputs) > 1:
        return None
    now = one.weights + other.weights
    outputs = one.bias.size
    if not 0 < outputs * (inputs.pop() // groups[0]) * y.taps * x.taps <= now:
        return None
    weight = _spread(one, groups[0], y, x) + _spread(other, groups[0], y, x)
    return _convolution(addition, one.source, weight, one.bias + other.bias, y, x)


def _spread(branch: _Branch, group: int, y: _Axis, x: _Axis) -> Float64:
    """Return a branch's weights in `group` groups and on the taps of both axes, zeros elsewhere."""
    blocks = branch.weight.shape[0] // group
    parts = branch.weight.reshape(group, blocks, *branch.weight.shape[1:])
    outputs, inputs = parts.shape[2:4]
    result = np.zeros((group, blocks * outputs, blocks * inputs, y.taps, x.taps))
    for block in range(blocks):
        rows = slice(block * outputs, (block + 1) * outputs)
        columns = slice(block * inputs, (block + 1) * inputs)
        result[:, rows, columns, branch.y.places(y), branch.x.places(x)] = parts[:, block]
    return result


def _convolution(addition: Layer, source: str, weight: Float64, bias: Float64, y: _Axis, x: _Axis) -> Layer:
    group = weight.shape[0]
    layer = new_layer(
        "Convolution" if group == 1 else "ConvolutionDepthWise",
        addition.name,
        [source],
        addition.outputs,
        num_output=bias.size,
        kernel_w=x.taps,
        kernel_h=y.taps,
        dilation_w=x.dilation,
        dilation_h=y.dilation,
        stride_w=x.stride,
        stride_h=y.stride,
        pad_left=-x.first,
        pad_right=x.last + x.margin,
        pad_top=-y.first,
        pad_bottom=y.last + y.margin,
    )
    if group > 1:
        layer.set("group", group)
    set_weights(layer, weight, bias)
    return layer
