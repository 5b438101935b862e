"""Remove layers that give what they take.

Which these are, by type: Noop; what moves values (Reshape, Crop, Padding, Slice and Concat of one, Interp, …) where
the shape stays, and with it every value's place; Permute and ShuffleChannel of the order that is there; pooling of
single values; Clip to all numbers; scales of one and offsets of zero.

Their readers can read what they read. An output of the model keeps its name: the blob before it takes that name,
unless it is an output or an input itself.
"""

from __future__ import annotations

from collections.abc import Callable

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.affine import read_affine
from ncnn_tools.passes.elementwise import FLOAT_MAX

# Layers of one input and one output that are the identity where they keep the shape.
_MOVES = {
    "Concat",
    "Crop",
    "ExpandDims",
    "Flatten",
    "Interp",
    "Padding",
    "PixelShuffle",
    "Reshape",
    "Slice",
    "Squeeze",
}


def remove_identities(graph: Graph) -> int:
    """Remove layers that give what they take; return how many."""
    removed = 0
    producers = graph.producers()
    for layer in list(graph.layers):
        source = _unchanged(graph, layer, producers)
        if source is not None and _bypass(graph, layer, source):
            producers = graph.producers()
            removed += 1
    return removed


def _unchanged(graph: Graph, layer: Layer, producers: dict[str, Layer]) -> str | None:
    """Return the input that a layer gives as it is, or None."""
    if not layer.inputs or len(layer.outputs) != 1:
        return None
    before, after = (graph.shapes.get(blob) for blob in (layer.inputs[0], layer.outputs[0]))
    if len(layer.inputs) == 1 and layer.type in _MOVES:
        return layer.inputs[0] if before is not None and before == after else None
    if len(layer.inputs) == 1 and layer.type in _ALWAYS:
        return layer.inputs[0] if _ALWAYS[layer.type](layer, before) else None
    found = read_affine(graph, layer, producers)
    return found.source if found is not None and found.affine.is_identity else None


def _pools_single_values(layer: Layer, _shape: tuple[int, ...] | None) -> bool:
    special = layer.get("global_pooling") or layer.get("adaptive_pooling")
    names = ("kernel_w", "kernel_h", "stride_w", "stride_h")
    pads = ("pad_left", "pad_right", "pad_top", "pad_bottom")
    return (
        not special
        and all(layer.get(name) == 1 for name in names)
        and not any(layer.get(name) for name in pads)
    )


def _clips_nothing(layer: Layer, _shape: tuple[int, ...] | None) -> bool:
    return bool(layer.get("min") <= -FLOAT_MAX and layer.get("max") >= FLOAT_MAX)


def _shuffles_nothing(layer: Layer, shape: tuple[int, ...] | None) -> bool:
    return layer.get("group") == 1 or (shape is not None and layer.get("group") == shape[0])


_ALWAYS: dict[str, Callable[[Layer, tuple[int, ...] | None], bool]] = {
    "Noop": lambda _layer, _shape: True,
    "Dropout": lambda layer, _shape: layer.get("scale") == 1,
    "Permute": lambda layer, _shape: layer.get("order_type") == 0,
    "ShuffleChannel": _shuffles_nothing,
    "Pooling": _pools_single_values,
    "Clip": _clips_nothing,
}


def _bypass(graph: Graph, layer: Layer, source: str) -> bool:
    target = layer.outputs[0]
    if target in graph.outputs:
        if source in graph.outputs or source in graph.inputs:
            return False
        graph.remove([layer])
        graph.rename_blob(source, target)
    else:
        graph.remove([layer])
        graph.redirect(target, source)
    return True
