"""What a layer multiplies its weights with: its input as rows, one for each place of the output (im2col).

The columns stand in the order of ncnn's weights: input channel, then kernel row, then kernel column.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ncnn_tools.graph import Layer

Array = npt.NDArray[np.float32]

_SAME_UPPER = -233  # pad_left: the input's size is kept, what is odd goes to the end; -234 to the beginning


def layer_rows(layer: Layer, values: Array, most: int, generator: np.random.Generator) -> Array:
    """Return at most `most` rows of a quantizable layer's input, drawn evenly, float32 (groups, rows, columns).

    Convolutions and InnerProduct have one group, depthwise convolutions one a channel. `values` is the input blob
    in ncnn's shape.
    """
    if layer.type == "InnerProduct":
        per_row = layer.integer("weight_data_size") // layer.integer("num_output")
        rows = values.reshape(-1, per_row)
        return rows[_places(len(rows), most, generator)][None]
    view = window_view(layer, values)
    height, width = view.shape[1:3]
    places = _places(height * width, most, generator)
    picked = view[:, places // width, places % width].reshape(len(values), len(places), -1)
    if layer.type == "ConvolutionDepthWise":
        return np.ascontiguousarray(picked)
    return np.ascontiguousarray(picked.transpose(1, 0, 2)).reshape(1, len(places), -1)


def mean_row(layer: Layer, values: Array) -> npt.NDArray[np.float64]:
    """Return the mean over all rows, float64 (groups, columns); see `layer_rows`."""
    if layer.type == "InnerProduct":
        per_row = layer.integer("weight_data_size") // layer.integer("num_output")
        mean: npt.NDArray[np.float64] = values.reshape(-1, per_row).mean(axis=0, dtype=np.float64)
        return mean[None]
    view = window_view(layer, values)
    means = np.empty((len(values), *view.shape[3:]))
    for row in range(view.shape[3]):
        for column in range(view.shape[4]):
            means[:, row, column] = view[..., row, column].mean(axis=(1, 2), dtype=np.float64)
    groups = len(values) if layer.type == "ConvolutionDepthWise" else 1
    return means.reshape(groups, -1)


def _places(count: int, most: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    if count <= most:
        return np.arange(count)
    places: npt.NDArray[np.int64] = np.sort(generator.choice(count, most, replace=False))
    return places


def window_view(layer: Layer, values: Array) -> Array:
    """Return a view (channels, output rows, output columns, kernel rows, kernel columns) of the padded input."""
    rows, columns = _axes(layer)
    padded = padded_input(layer, values)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (rows.extent, columns.extent), axis=(1, 2))
    view: Array = windows[:, :: rows.stride, :: columns.stride, :: rows.dilation, :: columns.dilation]
    return view


def padded_input(layer: Layer, values: Array) -> Array:
    """Return the input of a convolution, (channels, rows, columns), with what it puts around it."""
    rows, columns = _axes(layer)
    widths = ((0, 0), rows.padding(values.shape[1]), columns.padding(values.shape[2]))
    padded: Array = np.pad(values, widths, constant_values=layer.get("pad_value"))
    return padded


def _axes(layer: Layer) -> tuple[_Axis, _Axis]:
    return _Axis(layer, "h", "top"), _Axis(layer, "w", "left")


class _Axis:
    """A convolution's kernel, stride and padding along one axis."""

    def __init__(self, layer: Layer, letter: str, side: str) -> None:
        self.stride, self.dilation = layer.integer(f"stride_{letter}"), layer.integer(f"dilation_{letter}")
        self.extent = self.dilation * (layer.integer(f"kernel_{letter}") - 1) + 1
        other = {"top": "bottom", "left": "right"}[side]
        self._pads = layer.integer(f"pad_{side}"), layer.integer(f"pad_{other}")

    def padding(self, size: int) -> tuple[int, int]:
        if self._pads[0] >= 0:
            return self._pads
        total = max(0, (-(-size // self.stride) - 1) * self.stride + self.extent - size)
        small, large = total // 2, total - total // 2
        return (small, large) if self._pads[0] == _SAME_UPPER else (large, small)
