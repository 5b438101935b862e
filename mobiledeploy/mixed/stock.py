"""The float and int8 layers that a mix is put together from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from mobiledeploy.mixed.judge import Sample
from mobiledeploy.mixed.rewriting import Rewriting
from ncnn_tools.graph import Graph
from ncnn_tools.mixed import Choice, Precision, Stock
from ncnn_tools.quantization import QuantizeOptions, collect_input_statistics, quantize
from ncnn_tools.quantization.layers import is_int8
from ncnn_tools.schema import MASK_NO_WINOGRAD

StockOf = Callable[[Rewriting], Stock]


def make_stock(
    graph: Graph, thresholds: Mapping[str, float], options: QuantizeOptions, samples: Sequence[Sample]
) -> Stock:
    """Quantize every layer that can be, by thresholds of its input and the methods given, in both ways of `Stock`.

    `samples` (input blob → array) are what biases are corrected by.
    """
    seen = collect_input_statistics(graph, samples, thresholds, moments=options.rounding, threads=2)
    exact, narrow = (
        quantize(graph, thresholds, dataclasses.replace(options, chains=False, prefer=prefer), seen)
        for prefer in ("error", "speed")
    )
    return Stock(graph, exact, narrow)


def uniform_int8(stock: Stock) -> dict[str, Choice]:
    """Return the choices of the int8 variant: all that can, of 8 bits, and winograd where it can't overflow."""
    return {
        layer.name: Choice("int8", winograd=not layer.feature_mask & MASK_NO_WINOGRAD)
        for layer in stock.exact.layers
        if is_int8(layer)
    }


def all_in(stock: Stock, precision: Precision) -> dict[str, Choice]:
    """Return the choices of all layers in one precision, with ncnn's own algorithms."""
    return {layer.name: Choice(precision) for layer in stock.float.layers}


def thresholds_behind_moves(graph: Graph, thresholds: Mapping[str, float]) -> dict[str, float]:
    """Return thresholds that hold for blobs behind a Padding or a Slice of channels too: neither widens a range."""
    found = dict(thresholds)
    for layer in graph.layers:
        if layer.type in ("Padding", "Slice") and layer.inputs[0] in found:
            for blob in layer.outputs:
                found.setdefault(blob, found[layer.inputs[0]])
    return found
