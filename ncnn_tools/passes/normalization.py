"""Normalizations with a factor and an offset of their own: what an affine map after one makes of them.

γ·n + β of normalized values n, mapped by f and g along the same axis, is (f·γ)·n + (f·β + g). LayerNorm and RMSNorm
have their γ along the last axis (RMSNorm has no β), InstanceNorm and GroupNorm along the channels.
"""

from __future__ import annotations

import numpy as np

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.passes.affine import Affine

_SIZES = {
    "LayerNorm": "affine_size",
    "RMSNorm": "affine_size",
    "InstanceNorm": "channels",
    "GroupNorm": "channels",
}

NORMALIZATIONS = frozenset(_SIZES)


def norm_axis(graph: Graph, layer: Layer) -> int | None:
    """Return the axis along which a normalization has its factors; None where it has them for several axes."""
    shape = graph.shapes.get(layer.outputs[0], ())
    if layer.type in ("InstanceNorm", "GroupNorm"):
        return 0 if shape else None
    return len(shape) - 1 if shape and layer.integer("affine_size") == shape[-1] else None


def fold_after_norm(layer: Layer, affine: Affine) -> None:
    """Let a normalization compute affine(what it gives now); `affine` is along its factors' axis."""
    count = layer.integer(_SIZES[layer.type])
    start = {"gamma": np.ones(count), "beta": np.zeros(count)}
    given = {name: weight.data.astype(np.float64) for name, weight in layer.weights.items()}
    layer.set("affine", 1)
    factors = {**start, **given}
    layer.set_weight("gamma", affine.factor * factors["gamma"])
    if layer.type != "RMSNorm":
        layer.set_weight("beta", affine.factor * factors["beta"] + affine.offset)
