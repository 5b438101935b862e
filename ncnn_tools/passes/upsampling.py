"""Convolve before enlarging rather than after.

A 1x1 convolution mixes the channels of a pixel, Interp mixes the pixels of a channel with weights whose sum is one:
the order does not matter, W·Σaᵢxᵢ + b = Σaᵢ(W·xᵢ + b), for nearest, bilinear and bicubic alike. Before enlarging
there are fewer pixels to convolve.

Where the convolution's input is a Concat, its weights fall apart by columns: W·[x; y] = U·x + V·y. So what was
enlarged for the Concat alone can be convolved while it is small, enlarged and added.

What it costs is counted against it: channels that are enlarged in addition, sums, and an activation that can't be
fused into the convolution any more. These are limited by memory; `_PASS` says how many multiply-adds of
a convolution take as long as reading and writing one value (measured with the wheel on x86-64, rounded up).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ncnn_tools.graph import Graph, Layer, new_layer, unique_name
from ncnn_tools.passes.linear import bias_vector, is_linear, is_padded, rows, set_weights
from ncnn_tools.passes.wiring import Wiring
from ncnn_tools.schema import binary_op

_PASS = 16
_INTERPOLATION = 2 * _PASS  # of one value: reads two rows, writes one
_FUSIBLE = {"ReLU", "Clip", "Sigmoid", "Mish", "HardSwish"}


class _Enlarged(NamedTuple):
    """A blob that Interp enlarges for one reader, and how many pixels it has before and after."""

    interp: Layer
    before: int
    after: int


def convolve_before_upsampling(graph: Graph) -> int:
    """Move 1x1 convolutions in front of the Interp that enlarges their input; return how many."""
    moved = 0
    wiring = Wiring(graph)
    for layer in list(graph.layers):
        if not is_pointwise_convolution(layer):
            continue
        enlarged = _enlarged(graph, wiring, layer.inputs[0])
        if enlarged and _gain(wiring, layer, [(enlarged, graph.shapes[layer.inputs[0]][0])], sums=0) > 0:
            _swap(graph, layer, enlarged.interp)
            wiring = Wiring(graph)
            moved += 1
    return moved


def split_convolutions_of_enlarged(graph: Graph) -> int:
    """Convolve the parts of a Concat before they are enlarged, and add the results; return how many convolutions."""
    split = 0
    wiring = Wiring(graph)
    for layer in list(graph.layers):
        concat = wiring.producers[layer.inputs[0]] if is_pointwise_convolution(layer) else None
        if concat is None or concat.type != "Concat" or wiring.only_reader(concat.outputs[0]) is not layer:
            continue
        if concat.get("axis") % 3 or any(blob not in graph.shapes for blob in concat.inputs):
            continue
        parts = [(_enlarged(graph, wiring, blob), graph.shapes[blob][0]) for blob in concat.inputs]
        small = [(part, channels) for part, channels in parts if part is not None]
        rest = len(small) < len(parts)
        if len(parts) > 1 and small and _gain(wiring, layer, small, sums=len(small) - (not rest)) > 0:
            _split(graph, layer, concat, [part is not None for part, _ in parts])
            wiring = Wiring(graph)
            split += 1
    return split


def is_pointwise_convolution(layer: Layer) -> bool:
    """Return whether a layer is a dense 1x1 convolution of each pixel, without an activation."""
    return (
        layer.type == "Convolution"
        and is_linear(layer)
        and len(layer.inputs) == 1
        and all(layer.get(name) == 1 for name in ("kernel_w", "kernel_h", "stride_w", "stride_h"))
        and not is_padded(layer)
        and not layer.get("activation_type")
    )


def _enlarged(graph: Graph, wiring: Wiring, blob: str) -> _Enlarged | None:
    interp = wiring.producers[blob]
    if interp.type != "Interp" or len(interp.inputs) != 1 or wiring.only_reader(blob) is None:
        return None
    before, after = (graph.shapes.get(name, ()) for name in (interp.inputs[0], blob))
    if len(before) != 3 or len(after) != 3:
        return None
    pixels = before[1] * before[2], after[1] * after[2]
    return _Enlarged(interp, *pixels) if pixels[0] < pixels[1] else None


def _gain(wiring: Wiring, layer: Layer, small: list[tuple[_Enlarged, int]], sums: int) -> int:
    """Return what is saved, in multiply-adds."""
    outputs, after = layer.integer("num_output"), small[0][0].after
    saved = sum(channels * outputs * (part.after - part.before) for part, channels in small)
    interpolated = sum((outputs - channels) * part.after for part, channels in small)
    reader = wiring.only_reader(layer.outputs[0])
    activation = reader is not None and reader.type in _FUSIBLE
    return saved - _INTERPOLATION * interpolated - _PASS * outputs * after * (sums + activation)


def _swap(graph: Graph, convolution: Layer, interp: Layer) -> None:
    """x → Interp → Convolution → y becomes x → Convolution → Interp → y; a layer keeps its own name."""
    small = unique_name(f"{convolution.outputs[0]}_small", set(graph.blobs()))
    graph.shapes[small] = (convolution.integer("num_output"), *graph.shapes[interp.inputs[0]][1:])
    convolution.inputs, interp.inputs, interp.outputs, convolution.outputs = (
        interp.inputs,
        [small],
        convolution.outputs,
        [small],
    )
    graph.remove([interp])
    graph.layers.insert(_place(graph, convolution) + 1, interp)


def _split(graph: Graph, convolution: Layer, concat: Layer, small: list[bool]) -> None:
    """Give each enlarged part of a Concat a convolution of its own, keep one for the others, and add all."""
    taken, shape = set(graph.blobs()), graph.shapes[convolution.outputs[0]]
    ends = np.cumsum([graph.shapes[blob][0] for blob in concat.inputs])
    columns = list(np.split(rows(convolution), ends[:-1], axis=1))
    sources = [([blob], part) for blob, part, one in zip(concat.inputs, columns, small, strict=True) if one]
    kept = [(blob, part) for blob, part, one in zip(concat.inputs, columns, small, strict=True) if not one]
    if kept:
        sources.insert(0, ([blob for blob, _ in kept], np.concatenate([part for _, part in kept], axis=1)))
    bias = bias_vector(convolution)
    parts: list[Layer] = []
    for blobs, weight in sources:
        source = blobs[0] if len(blobs) == 1 else concat.outputs[0]
        name = unique_name(f"{convolution.outputs[0]}_part", taken)
        part = Layer("Convolution", name, [source], [name], dict(convolution.params))
        set_weights(part, weight, np.zeros_like(bias) if parts else bias)
        graph.shapes[name] = shape
        parts.append(part)
    place = _place(graph, convolution)
    graph.layers[place : place + 1] = [*parts, *_additions(graph, parts, convolution, taken)]
    _keep_in_concat(graph, concat, [blob for blob, _ in kept])


def _additions(graph: Graph, parts: list[Layer], convolution: Layer, taken: set[str]) -> list[Layer]:
    """Return the layers that add what the parts give, the last in the place of the convolution."""
    target = convolution.outputs[0]
    total, layers = parts[0].outputs[0], []
    for part in parts[1:]:
        result = target if part is parts[-1] else unique_name(f"{target}_sum", taken)
        name = convolution.name if part is parts[-1] else result
        layers.append(new_layer("BinaryOp", name, [total, *part.outputs], [result], op_type=binary_op.ADD))
        graph.shapes[result] = graph.shapes[target]
        total = result
    return layers


def _keep_in_concat(graph: Graph, concat: Layer, kept: list[str]) -> None:
    """Leave a Concat these inputs, or take it out where that is one or none."""
    if len(kept) <= 1:
        graph.remove([concat])
        return
    blob = concat.outputs[0]
    concat.inputs = kept
    graph.shapes[blob] = (sum(graph.shapes[name][0] for name in kept), *graph.shapes[blob][1:])
    graph.origins.pop(blob, None)


def _place(graph: Graph, layer: Layer) -> int:
    return next(index for index, other in enumerate(graph.layers) if other is layer)
