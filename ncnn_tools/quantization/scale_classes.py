"""Channels that must be scaled together: which channels of which blobs, and who takes the factor up at the ends.

A factor on a channel passes through layers that are positively homogeneous, f(s·x) = s·f(x) for s > 0, channel by
channel: Split, Concat of channels, PReLU, ReLU with or without slope, pooling, resizing, sums of two blobs. It ends
in a layer with weights of its own for that channel: a convolution's or InnerProduct's rows (where its fused
activation is homogeneous) or columns, a BatchNorm's mean or slope. Every other layer fixes its blobs' channels at a
factor of 1, as do the graph's inputs and outputs. All of it is found by union-find over (blob, channel).
"""

from __future__ import annotations

from ncnn_tools.channel_classes import ChannelClasses
from ncnn_tools.graph import Layer
from ncnn_tools.quantization.layers import is_depthwise
from ncnn_tools.schema import Activation, binary_op

_ELTWISE_SUM = 1
_HOMOGENEOUS = (Activation.NONE, Activation.RELU, Activation.LEAKY_RELU)
_CARRIERS = {"Split", "PReLU", "ReLU", "Pooling", "Interp", "Dropout", "Noop"}
_DENSE = ("Convolution", "InnerProduct")


class ScaleClasses(ChannelClasses):
    """The classes of channels that share a factor; that of class 0 is 1."""

    def _tie(self, layer: Layer) -> None:
        known = all(blob in self._starts for blob in [*layer.inputs, *layer.outputs])
        if layer.type in _CARRIERS and known:
            for blob in layer.outputs:
                self._join(layer.inputs[0], blob)
        elif layer.type == "Concat" and layer.get("axis") == 0 and known:
            self._tie_concat(layer)
        elif _is_sum(layer) and known and self._are_alike(layer.inputs):
            for blob in layer.inputs:
                self._join(layer.outputs[0], blob)
        else:
            self._end(layer)

    def _are_alike(self, blobs: list[str]) -> bool:
        """Return whether blobs have the same axes and channels, so that channel meets channel."""
        return len({(self._counts[blob], len(self._shapes[blob])) for blob in blobs}) == 1

    def _end(self, layer: Layer) -> None:
        """Fix the blobs of a layer, but for those whose factor its weights take up."""
        if not absorbs_input(layer):
            for blob in layer.inputs:
                self._fix(blob)
        if not absorbs_output(layer):
            for blob in layer.outputs:
                self._fix(blob)


def absorbs_input(layer: Layer) -> bool:
    """Return whether a layer's weights can undo a factor on each channel of its input."""
    if layer.type == "BatchNorm":
        return True
    if "weight" not in layer.weights or len(layer.inputs) != 1:
        return False
    if "pad_value" in layer.schema.params and layer.get("pad_value") != 0:
        return False
    return layer.type in _DENSE or is_depthwise(layer)


def absorbs_output(layer: Layer) -> bool:
    """Return whether a layer's weights can put a factor on each channel of its output."""
    if layer.type == "BatchNorm":
        return True
    return absorbs_input(layer) and layer.get("activation_type") in _HOMOGENEOUS


def _is_sum(layer: Layer) -> bool:
    if layer.type == "BinaryOp":
        return (
            layer.get("op_type") in (binary_op.ADD, binary_op.SUB)
            and not layer.get("with_scalar")
            and len(layer.inputs) == 2
        )
    return layer.type == "Eltwise" and bool(layer.get("op_type") == _ELTWISE_SUM)
