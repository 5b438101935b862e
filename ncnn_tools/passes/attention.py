"""Recognize attention: Softmax(q·kᵀ · scale + mask)·v is one layer, SDPA.

SDPA computes head by head, so the products of all queries and keys, the largest blob of attention, are never written
as a whole; with the wheel on x86-64 it takes a tenth to almost half less time than MatMul, Softmax and MatMul (for
49 to 197 tokens and 16 to 64 values a head).
A mask for each window and head would have to be written out for all of them, which takes what SDPA saves (measured
on tiny_vit and swin): a constant may broadcast to all heads or to none.

q is (heads, n, d), v (heads, m, e), and k is given transposed to MatMul, (heads, d, m), mostly by a Permute that
can give (heads, m, d) as well. Windows count as heads, and one k and v
may serve all heads. A single head may be matrices without the first axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ncnn_tools.graph import Graph, Layer, new_layer, unique_name
from ncnn_tools.passes.affine import Shape, memory_shape, read_affine
from ncnn_tools.passes.wiring import Wiring
from ncnn_tools.schema import binary_op

_SWAP_LAST = 1  # Permute order_type of three axes: (c, w, h)


@dataclass
class _Scores:
    """What leads from q·kᵀ to the Softmax: the layers, a common factor, and the constants that are added."""

    product: Layer
    layers: list[Layer] = field(default_factory=list)
    scale: float = 1.0
    masks: list[np.ndarray] = field(default_factory=list)


def recognize_attention(graph: Graph) -> int:
    """Replace MatMul → Softmax → MatMul by SDPA, with the scale and the constant masks between; return how many."""
    replaced = 0
    wiring = Wiring(graph)
    for softmax in [layer for layer in graph.layers if layer.type == "Softmax"]:
        scores = _scores(graph, wiring, softmax)
        after = _only_after(graph, wiring, softmax)
        if scores is None or not after or after[-1].type != "MatMul" or not _fits(graph, scores, after[-1]):
            continue
        _replace(graph, scores, after[-1])
        graph.remove([*scores.layers, scores.product, softmax, *after])
        wiring = Wiring(graph)
        replaced += 1
    return replaced


def _scores(graph: Graph, wiring: Wiring, softmax: Layer) -> _Scores | None:
    """Walk back from a Softmax over the last axis to the product of queries and keys."""
    blob = softmax.inputs[0]
    shape = graph.shapes.get(blob, ())
    if not shape or softmax.get("axis") % len(shape) != len(shape) - 1:
        return None
    layers: list[Layer] = []
    masks: list[np.ndarray] = []
    scale = 1.0
    while wiring.only_reader(blob) is not None:
        layer = wiring.producers[blob]
        shape = graph.shapes.get(blob, ())
        if layer.type == "MatMul":
            return _Scores(layer, layers, scale, masks)
        found = read_affine(graph, layer, wiring.producers)
        mask = _mask(graph, wiring, layer, shape)
        if layer.type == "Reshape" and _keeps_rows(graph, layer):
            blob = layer.inputs[0]
        elif mask is not None:
            masks.append(mask[0] * scale)
            blob = mask[1]
        elif found is not None and found.affine.axis is None and found.affine.is_scale:
            scale, blob = scale * float(found.affine.factor[0]), found.source
        else:
            return None
        layers.append(layer)
    return None


def _mask(graph: Graph, wiring: Wiring, layer: Layer, shape: Shape) -> tuple[np.ndarray, str] | None:
    """Return the constant that a layer adds, (heads or 1, n, m), and the blob to which it adds it."""
    if layer.type != "BinaryOp" or layer.get("op_type") != binary_op.ADD or len(layer.inputs) != 2:
        return None
    for place in (0, 1):
        memory = wiring.producers[layer.inputs[place]]
        if memory.type == "MemoryData" and graph.shapes.get(layer.inputs[1 - place]) == shape:
            sizes = memory_shape(memory)
            values = memory.weights["data"].values().reshape(sizes)
            heads = np.prod(sizes[:-2])
            fits = sizes[-2:] == shape[-2:] and heads in (1, np.prod(shape[:-2]))
            return (values.reshape(-1, *shape[-2:]), layer.inputs[1 - place]) if fits else None
    return None


def _keeps_rows(graph: Graph, reshape: Layer) -> bool:
    """Return whether a Reshape leaves the last two axes as they are."""
    before, after = (graph.shapes.get(blob, ()) for blob in (reshape.inputs[0], reshape.outputs[0]))
    return len(reshape.inputs) == 1 and min(len(before), len(after)) >= 2 and before[-2:] == after[-2:]


def _only_after(graph: Graph, wiring: Wiring, softmax: Layer) -> list[Layer]:
    """Return the layers from a Softmax to what multiplies its result; nothing where others read it."""
    layers: list[Layer] = []
    blob = softmax.outputs[0]
    while (reader := wiring.only_reader(blob)) is not None:
        layers.append(reader)
        if reader.type == "MatMul":
            return layers if reader.inputs[0] == blob and not reader.get("trans_b") else []
        if reader.type != "Reshape" or not _keeps_rows(graph, reader):
            return []
        blob = reader.outputs[0]
    return []


def _fits(graph: Graph, scores: _Scores, last: Layer) -> bool:
    """Return whether shapes are those of attention: k and v have the heads of q, or one that all share."""
    product = scores.product
    own = [graph.shapes.get(blob, ()) for blob in (product.inputs[0], *product.outputs, last.outputs[0])]
    shared = [graph.shapes.get(blob, ()) for blob in (product.inputs[1], last.inputs[1])]
    ranks = {len(shape) for shape in own + shared}
    if len(ranks) != 1 or not ranks <= {2, 3} or scores.scale <= 0:
        return False
    heads, keys = ({shape[0] if len(shape) == 3 else 1 for shape in shapes} for shapes in (own, shared))
    return len(heads) == 1 and (keys in (heads, {1}))


def _replace(graph: Graph, scores: _Scores, last: Layer) -> None:
    taken = set(graph.blobs())
    place = next(index for index, layer in enumerate(graph.layers) if layer is last)
    query, key = scores.product.inputs
    added = list(_moved(graph, taken, [query, key, last.inputs[1]], swap=not scores.product.get("trans_b")))
    inputs = [moved[-1].outputs[0] if moved else blob for moved, blob in added]
    layers = [layer for moved, _ in added for layer in moved]
    if scores.masks:
        mask = _memory(graph, taken, sum(scores.masks[1:], scores.masks[0]), last.name)
        layers.append(mask)
        inputs += mask.outputs
    target = last.outputs[0]
    shape = graph.shapes[target]
    result = target if len(shape) == 3 else unique_name(f"{target}_heads", taken)
    layers.append(
        new_layer("SDPA", last.name, inputs, [result], attn_mask=int(bool(scores.masks)), scale=scores.scale)
    )
    if result != target:
        graph.shapes[result] = (1, *shape)
        layers.append(new_layer("Reshape", target, [result], [target], h=shape[0], w=shape[1]))
    graph.layers[place:place] = layers


def _moved(
    graph: Graph, taken: set[str], blobs: list[str], *, swap: bool
) -> Iterator[tuple[list[Layer], str]]:
    """Yield, for q, k and v, the layers that give each as (heads, tokens, values), and the blob before them."""
    for index, blob in enumerate(blobs):
        layers: list[Layer] = []
        shape, source = graph.shapes[blob], blob
        if index == 1 and swap:
            order = _SWAP_LAST
            turned = unique_name(f"{blob}_turned", taken)
            layers.append(new_layer("Permute", turned, [source], [turned], order_type=order))
            shape, source = (*shape[:-2], shape[-1], shape[-2]), turned
            graph.shapes[turned] = shape
        if len(shape) == 2:
            single = unique_name(f"{blob}_head", taken)
            layers.append(new_layer("Reshape", single, [source], [single], c=1, h=shape[0], w=shape[1]))
            graph.shapes[single] = (1, *shape)
        yield layers, blob


def _memory(graph: Graph, taken: set[str], mask: np.ndarray, name: str) -> Layer:
    """Return a MemoryData layer of a mask, (heads or 1, n, m)."""
    blob = unique_name(f"{name}_mask", taken)
    heads, rows, columns = mask.shape
    layer = new_layer("MemoryData", blob, [], [blob], c=heads, h=rows, w=columns)
    layer.set_weight("data", mask)
    graph.shapes[blob] = mask.shape
    return layer
