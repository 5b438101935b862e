"""Where zeros may stand between the channels of a blob, and in which blobs they must then stand together.

Behind each channel of a blob is a gap that padding may fill. `PaddingClasses` joins the gaps that have to take the
same padding: a layer that works channel by channel has it in its inputs and its output, Concat brings its inputs'
gaps into the middle of its output. A convolution or InnerProduct ends it: its weights get rows of zeros for the
output, columns of zeros for the input, whatever the other side has. Every other layer fixes the gaps of its blobs
(class 0), as do the graph's inputs and outputs.

Why this changes nothing: a padded channel starts behind rows of zeros, with the constant f(0) of the fused
activation. Channel by channel it stays finite, as only functions that are finite at finite values are let through
(a division is not), and is read by columns of zeros alone. It adds 0 to sums, and is in no output.
"""

from __future__ import annotations

from ncnn_tools.channel_classes import ChannelClasses
from ncnn_tools.graph import Layer
from ncnn_tools.quantization.layers import is_depthwise
from ncnn_tools.schema import Activation, binary_op

DENSE = frozenset({"Convolution", "Deconvolution", "InnerProduct"})

# Channel by channel, and finite where their input is.
# fmt: off
_CARRIERS = frozenset({
    "AbsVal", "BatchNorm", "Bias", "CELU", "Dropout", "ELU", "Erf", "GELU", "HardSigmoid", "HardSwish", "Interp",
    "Mish", "Noop", "PReLU", "Pooling", "ReLU", "SELU", "Scale", "Sigmoid", "Softplus", "Split", "Swish", "TanH",
})
# fmt: on
_FINITE_OPERATIONS = frozenset(
    {
        binary_op.ADD,
        binary_op.SUB,
        binary_op.MUL,
        binary_op.MAX,
        binary_op.MIN,
        binary_op.REVERSED_SUB,
    }
)


class PaddingClasses(ChannelClasses):
    """The classes of gaps, each numbered by the channel that it is behind; nothing may stand in those of class 0."""

    def _tie(self, layer: Layer) -> None:
        known = all(blob in self._starts for blob in [*layer.inputs, *layer.outputs])
        if is_dense(layer):
            if not _is_finite_at_zero(layer):
                self._fix(layer.outputs[0])
        elif known and is_border(layer) and self._counts[layer.inputs[0]] == self._counts[layer.outputs[0]]:
            self._tie_border(layer)
        elif known and _carries(layer):
            for blob in layer.outputs:
                self._join(layer.inputs[0], blob)
        elif known and layer.type == "Concat" and layer.get("axis") == 0:
            self._tie_concat(layer)
        elif known and _is_elementwise(layer):
            self._tie_operands(layer)
        else:
            for blob in [*layer.inputs, *layer.outputs]:
                self._fix(blob)

    def _tie_border(self, layer: Layer) -> None:
        """Join all gaps but the last: a Padding may fill its output's, a Crop take something out of its input's."""
        pairs = list(zip(self._nodes(layer.inputs[0]), self._nodes(layer.outputs[0]), strict=True))
        for one, other in pairs[:-1]:
            self._union(one, other)

    def _tie_operands(self, layer: Layer) -> None:
        """Join operands that have the output's channels; one that is repeated along them keeps its one.

        A vector that is as long as there are channels goes along them (src/layer/binaryop.cpp).
        """
        out = layer.outputs[0]
        for blob in layer.inputs:
            if self._counts[blob] == self._counts[out]:
                self._join(blob, out)
            else:
                self._fix(blob)
                if self._counts[blob] != 1:
                    self._fix(out)


def is_dense(layer: Layer) -> bool:
    """Return whether each output of a layer is a weighted sum over all channels, with weights of the graph's."""
    return layer.type in DENSE and "weight" in layer.weights and len(layer.inputs) == 1


def is_border(layer: Layer) -> bool:
    """Return whether a layer is a Padding or Crop of last channels, such as `with_borders` puts in."""
    if layer.type == "Crop":
        return bool(layer.get("axes") == (0,) and layer.get("starts") == (0,))
    return layer.type == "Padding" and not any(
        layer.get(side) for side in ("top", "bottom", "left", "right", "type", "value", "per_channel_size")
    )


def _carries(layer: Layer) -> bool:
    if layer.type == "Clip":
        return bool(layer.get("min") <= 0 <= layer.get("max"))
    if layer.type == "BinaryOp":
        return bool(layer.get("with_scalar")) and layer.get("op_type") in _FINITE_OPERATIONS
    return len(layer.inputs) == 1 and (layer.type in _CARRIERS or is_depthwise(layer))


def _is_elementwise(layer: Layer) -> bool:
    if layer.type == "BinaryOp":
        return len(layer.inputs) == 2 and layer.get("op_type") in _FINITE_OPERATIONS
    return layer.type == "Eltwise"


def _is_finite_at_zero(layer: Layer) -> bool:
    """Return whether a row of zeros gives 0, or no more than 1 in magnitude, behind the fused activation."""
    if layer.get("activation_type") != Activation.CLIP:
        return True
    low, high = layer.get("activation_params")
    return bool(low <= 0 <= high)
