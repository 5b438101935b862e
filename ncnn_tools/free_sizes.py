"""Whether a model that was converted for pictures of one size is right for others: the layers' side of it.

A blob follows the picture (a map whose height and width change with it), is a vector (one value for each channel,
whatever the picture's size: what global pooling gives), or is fixed (any other size, the same for every picture).
Layer by layer a rule says what comes out of what goes in, or that the layer can't take it: a Reshape to written
sizes, an InnerProduct on a map, an Interp to a written size, a constant with a height and width. A layer type
without a rule can't take a blob that follows.

This says what ncnn's layers can do. Whether the network itself meant it so (an average over what was the whole map,
exported as a window of that size) shows only in running it at a second size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from ncnn_tools.graph import Graph, Layer


class Extent(Enum):
    """What a blob's height and width depend on."""

    FOLLOWS = "follows the picture"
    VECTOR = "a vector"
    FIXED = "fixed"


FOLLOWS, VECTOR, FIXED = Extent

Extents = Sequence[Extent]
Rule = Callable[[Layer, Extents], Extent]

_KEEP_SIZE = -233  # in Slice: an equal share; in adaptive Pooling: as large as the input


class _ObstacleError(Exception):
    """A layer that can't take what it is given; the message ends "layer 'name' (Type) …"."""


def find_obstacle(graph: Graph) -> str:
    """Return why the graph is right for pictures of one size only, naming the first layer; empty where it is not."""
    inputs = [layer for layer in graph.layers if layer.type == "Input"]
    pictures = {(layer.integer("h"), layer.integer("w")) for layer in inputs if _is_picture(layer)}
    if len(pictures) != 1:
        return "its inputs are pictures of different sizes" if pictures else "no input is a picture"
    extents: dict[str, Extent] = {}
    for layer in graph.layers:
        try:
            extent = _extent_of_outputs(layer, [extents[blob] for blob in layer.inputs])
        except _ObstacleError as error:
            return f"layer {layer.name!r} ({layer.type}) {error}"
        extents.update(dict.fromkeys(layer.outputs, extent))
    return ""


def _is_picture(layer: Layer) -> bool:
    return bool(layer.integer("c") and layer.integer("h") and layer.integer("w") and not layer.integer("d"))


def _extent_of_outputs(layer: Layer, inputs: Extents) -> Extent:
    if layer.type == "Input":
        return FOLLOWS if _is_picture(layer) else FIXED
    if layer.type == "MemoryData":
        return VECTOR if _sizes(layer, 0) in _VECTORS else FIXED
    if FOLLOWS not in inputs:
        return VECTOR if set(inputs) == {VECTOR} and _keeps_vectors(layer) else FIXED
    if layer.type not in _RULES:
        raise _ObstacleError(_REASONS.get(layer.type, "may depend on the picture's size"))
    return _RULES[layer.type](layer, inputs)


def _keeps_vectors(layer: Layer) -> bool:
    if layer.type in ("Convolution", "ConvolutionDepthWise"):
        padding = ("pad_left", "pad_right", "pad_top", "pad_bottom")
        return layer.get("kernel_w") == layer.get("kernel_h") == 1 and not any(map(layer.get, padding))
    if layer.type == "Reshape":
        return _sizes(layer, _KEEP_SIZE) in _VECTORS
    return layer.type in _OF_VALUES or layer.type in (
        "BinaryOp",
        "Eltwise",
        "Flatten",
        "InnerProduct",
        "Split",
    )


def _sizes(layer: Layer, absent: int) -> tuple[int, ...]:
    """Return the sizes of a MemoryData or Reshape as (w, h, d, c), with 1 for what is there but any size."""
    w, h, d, c = (0 if layer.get(axis) == absent else layer.integer(axis) for axis in ("w", "h", "d", "c"))
    return (w if h else min(w, 1), h, d, min(c, 1))


_VECTORS = ((1, 0, 0, 0), (1, 1, 0, 1))  # (c,) and (c, 1, 1)


# --- rules for layers of which an input, or more, follows the picture ---


def _same(_layer: Layer, _inputs: Extents) -> Extent:
    return FOLLOWS


def _all_follow(_layer: Layer, inputs: Extents) -> Extent:
    if set(inputs) != {FOLLOWS}:
        raise _ObstacleError("joins a map that follows the picture with one of a fixed size")
    return FOLLOWS


def _broadcast(_layer: Layer, inputs: Extents) -> Extent:
    if FIXED in inputs:
        raise _ObstacleError("joins a map that follows the picture with one of a fixed size")
    return FOLLOWS


def _convolution(_layer: Layer, inputs: Extents) -> Extent:
    if FOLLOWS in inputs[1:]:
        raise _ObstacleError("takes its weights from a map that follows the picture")
    return FOLLOWS


def _deconvolution(layer: Layer, inputs: Extents) -> Extent:
    if layer.get("output_w") or layer.get("output_h"):
        raise _ObstacleError("has a fixed output size")
    return _convolution(layer, inputs)


def _pooling(layer: Layer, _inputs: Extents) -> Extent:
    if layer.get("global_pooling"):
        return VECTOR
    if not layer.get("adaptive_pooling"):
        return FOLLOWS
    sizes = {layer.get("out_w"), layer.get("out_h")}
    if sizes == {_KEEP_SIZE}:
        return FOLLOWS
    if _KEEP_SIZE in sizes:
        raise _ObstacleError("has a fixed output size on one axis")
    return VECTOR if sizes == {1} else FIXED


def _interpolation(layer: Layer, inputs: Extents) -> Extent:
    if layer.get("dynamic_target_size") and inputs[1:] == [FOLLOWS]:
        return FOLLOWS
    if len(inputs) > 1 or layer.get("output_height") or layer.get("output_width"):
        raise _ObstacleError("resizes to a fixed size")
    return FOLLOWS


def _reduction(layer: Layer, _inputs: Extents) -> Extent:
    axes = {axis % 3 for axis in layer.get("axes")}
    if layer.get("reduce_all") or axes in ({1, 2}, {0, 1, 2}):
        return VECTOR
    if axes == {0} and layer.get("keepdims"):
        return FOLLOWS
    raise _ObstacleError("reduces height or width alone")


def _slice(layer: Layer, _inputs: Extents) -> Extent:
    if layer.get("axis") % 3 != 0 and (layer.get("indices") or set(layer.get("slices")) != {_KEEP_SIZE}):
        raise _ObstacleError("cuts height or width at fixed places")
    return FOLLOWS


def _crop(layer: Layer, inputs: Extents) -> Extent:
    axes = layer.get("axes")
    if len(inputs) > 1 or not axes or any(axis % 3 != 0 for axis in axes):
        raise _ObstacleError("cuts height or width at fixed places")
    return FOLLOWS


# One value out for one value in, or a map normalized as a whole or by its channels.
_OF_VALUES = frozenset(
    {
        *("AbsVal", "BNLL", "BatchNorm", "Bias", "CELU", "Clip", "Dropout", "ELU", "Erf", "Exp", "GELU"),
        *(
            "GroupNorm",
            "HardSigmoid",
            "HardSwish",
            "InstanceNorm",
            "LRN",
            "Log",
            "MVN",
            "Mish",
            "Noop",
            "PReLU",
        ),
        *("Power", "ReLU", "SELU", "Shrink", "Sigmoid", "Softmax", "Softplus", "Swish", "TanH", "Threshold"),
        "UnaryOp",
    }
)

_RULES: dict[str, Rule] = {
    **dict.fromkeys(_OF_VALUES, _same),
    **dict.fromkeys(("Padding", "PixelShuffle", "Reorg", "ShuffleChannel", "Split"), _same),
    **dict.fromkeys(("Concat", "DeformableConv2D", "Eltwise"), _all_follow),
    **dict.fromkeys(("Convolution", "ConvolutionDepthWise"), _convolution),
    **dict.fromkeys(("Deconvolution", "DeconvolutionDepthWise"), _deconvolution),
    "BinaryOp": _broadcast,
    "Scale": _broadcast,
    "Pooling": _pooling,
    "Interp": _interpolation,
    "Reduction": _reduction,
    "Slice": _slice,
    "Crop": _crop,
}

_REASONS = {
    "Flatten": "lays out a map that follows the picture",
    "InnerProduct": "takes a fixed number of values",
    "Permute": "moves height and width to other axes",
    "Reshape": "has fixed sizes",
}
