"""What layers cost at widths that were priced, and a guess for those that were not.

ncnn chooses a layer's kernel by its own parameters and its inputs' packing, so that a layer costs the same in all
graphs in which its blobs have the same channels. A width that was not priced is guessed from the layer itself at
other widths and from layers like it: a price a multiply-add, or a value, for the same packing.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, median

from ncnn_tools.graph import Layer
from ncnn_tools.packing.classes import is_dense
from ncnn_tools.packing.layout import MULTIPLES, Layout, Widths

Key = tuple[int, ...]  # the channels of a layer's inputs and outputs
_ALIKE = ("kernel_w", "kernel_h", "stride_w", "dilation_w")


class LayerPrices:
    """Learns prices of layers from graphs that were priced, and prices graphs that were not."""

    def __init__(self, layout: Layout, layers: Mapping[str, float], widths: Widths) -> None:
        """Begin with one priced graph."""
        self._layout = layout
        self._seen: dict[str, dict[Key, list[float]]] = {layer.name: {} for layer in layout.layers}
        self._rates: dict[tuple[object, ...], list[float]] = {}
        self.learn(layers, widths)

    def learn(self, layers: Mapping[str, float], widths: Widths) -> None:
        """Take in what the layers of a graph with these widths cost, by name."""
        for layer in self._layout.layers:
            if layer.name in layers:
                key = self._key(layer, widths)
                price = layers[layer.name]
                self._seen[layer.name].setdefault(key, []).append(price)
                self._rates.setdefault(self._kind(layer, key), []).append(price / self._work(layer, key))

    def of(self, layer: Layer, widths: Widths, optimism: float = 1.0) -> float:
        """Return what a layer costs at these widths; a guess is multiplied by `optimism`."""
        key = self._key(layer, widths)
        if self._is_idle(layer, key):
            return 0.0
        seen = self._seen[layer.name]
        if key in seen:
            return fmean(seen[key])
        return optimism * self._guess(layer, key)

    def knows(self, widths: Widths) -> bool:
        """Return whether no layer's price at these widths is a guess."""
        return all(
            self._is_idle(layer, key) or key in self._seen[layer.name]
            for layer in self._layout.layers
            for key in [self._key(layer, widths)]
        )

    def _guess(self, layer: Layer, key: Key) -> float:
        work = self._work(layer, key)
        rates = self._rates.get(self._kind(layer, key))
        if rates:
            return work * median(rates)
        others = self._seen[layer.name]
        nearest = min(others, key=lambda other: abs(self._work(layer, other) - work), default=None)
        return 0.0 if nearest is None else fmean(others[nearest]) * work / self._work(layer, nearest)

    def _is_idle(self, layer: Layer, key: Key) -> bool:
        """Return whether a layer that widths may bring in is not there."""
        return layer.type in ("Padding", "Crop") and key[0] == key[1]

    def _key(self, layer: Layer, widths: Widths) -> Key:
        return tuple(self._layout.channels(blob, widths) for blob in [*layer.inputs, *layer.outputs])

    def _kind(self, layer: Layer, key: Key) -> tuple[object, ...]:
        window = tuple(layer.get(name) for name in _ALIKE if name in layer.schema.params)
        return (layer.type, window, tuple(_packing(channels) for channels in key))

    def _work(self, layer: Layer, key: Key) -> float:
        """Return the multiply-adds of a convolution, or the values that another layer reads and writes; 1 at least."""
        blobs = [*layer.inputs, *layer.outputs]
        sizes = [self._layout.sizes.get(blob, 0) for blob in blobs]
        if is_dense(layer):
            taps = layer.get("kernel_w") * layer.get("kernel_h") if "kernel_w" in layer.schema.params else 1
            return max(1.0, float(key[0] * key[-1] * taps * sizes[-1]))
        return max(1.0, float(sum(channels * size for channels, size in zip(key, sizes, strict=True))))


def _packing(channels: int) -> int:
    return max((multiple for multiple in MULTIPLES if channels % multiple == 0), default=1)
