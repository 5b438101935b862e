"""`mix`: one graph put together from a float one and its int8 counterparts, layer by layer as chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer
from ncnn_tools.half_precision import ALL_FP32, apply_half_masks, store_as_fp16
from ncnn_tools.mixed.choice import FLOAT16, Choice
from ncnn_tools.quantization import chain, check_chains
from ncnn_tools.quantization.layers import is_int8
from ncnn_tools.schema import FEATURE_MASK_ID


@dataclass(frozen=True)
class Stock:
    """What a mix is made from: graphs of the same layers, in float and (without chains) in int8.

    `exact` keeps 8 bits and gives up winograd where its accumulator could overflow, `narrow` keeps winograd with
    coarser weights there (`QuantizeOptions.prefer`).
    """

    float: Graph
    exact: Graph
    narrow: Graph

    def layer(self, name: str, choice: Choice) -> Layer:
        """Return the layer that a choice takes; GraphError where it can't be int8."""
        if choice.precision != "int8":
            return _named(self.float, name)
        found = _named(self.narrow if choice.winograd else self.exact, name)
        if not is_int8(found):
            raise GraphError(f"layer {name!r} can't run in int8")
        return found

    def differs(self, name: str) -> bool:
        """Say whether a layer has coarser weights where it keeps winograd."""
        return _named(self.exact, name).weights["weight"] != _named(self.narrow, name).weights["weight"]


def mix(stock: Stock, choices: Mapping[str, Choice], *, chains: bool = True) -> Graph:
    """Return the graph with each layer as chosen, fp16 where nothing is said of it.

    With `chains` int8 layers hand int8 on where every reader takes it. Raises GraphError for a choice of a layer that
    is not there, or can't be int8.
    """
    if missing := set(choices) - {layer.name for layer in stock.float.layers}:
        raise GraphError(f"there is no layer {min(missing)!r} to choose for")
    result = stock.float.copy()
    result.layers = [_chosen(stock, layer, choices.get(layer.name, FLOAT16)) for layer in result.layers]
    if chains:
        chain(result)
    check_chains(result)
    return store_as_fp16(apply_half_masks(result, _exact(result, choices)))


def _exact(graph: Graph, choices: Mapping[str, Choice]) -> dict[str, int]:
    """Return the masks of layers that stay out of fp16: those in fp32, and where there is no fp16, int8 ones too."""
    precisions = {layer.name: choices.get(layer.name, FLOAT16).precision for layer in graph.layers}
    halves = "fp16" in precisions.values()
    return {name: ALL_FP32 for name, precision in precisions.items() if precision == "fp32" or not halves}


def _chosen(stock: Stock, layer: Layer, choice: Choice) -> Layer:
    found = stock.layer(layer.name, choice)
    params = dict(found.params)
    if mask := choice.mask | found.feature_mask:
        params[FEATURE_MASK_ID] = mask
    return Layer(found.type, found.name, list(found.inputs), list(found.outputs), params, dict(found.weights))


def _named(graph: Graph, name: str) -> Layer:
    return next(layer for layer in graph.layers if layer.name == name)
