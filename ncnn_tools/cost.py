"""What a layer costs: multiply-adds, and bytes that have to move at least.

The rules, by layer type:

- Convolution, ConvolutionDepthWise (grouped ones too): each weight once for each output pixel. Deconvolution,
  DeconvolutionDepthWise: each weight once for each input pixel. The same in one and three dimensions, and for
  DeformableConv2D. InnerProduct: each weight once for each row. Gemm, MatMul: rows x columns x depth. These are the
  multiply-adds of the definition: winograd needs fewer.
- SDPA: the two products, of queries with keys and of these with values. MultiHeadAttention: those and its four
  projections. LSTM, GRU, RNN: each weight once for each step.
- BatchNorm, Scale, PReLU: one for each value. BinaryOp, Eltwise: one for each value and each input after the first
  (one where there is a scalar in the second input's place). Pooling: one for each value of each window; global and
  adaptive pooling: one for each input value. Interp: four for each output value where it is bilinear, sixteen where
  it is bicubic, none where it is nearest. Reduction: one for each input value. Softmax: two for each value (the sum
  and the division).
- Everything else, activations by a function and fused activations included, counts none.

Bytes are those of inputs, outputs and weights, each once, in the sizes of the elements that the layer really got
and gave; a layer that works in place reads and writes all the same. Input, Split and Noop move nothing, and Crop
reads only what it writes. Biases, scales and slopes count four bytes each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ncnn_tools.graph import Graph, Layer

CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise")

_MOVE_NOTHING = ("Input", "Split", "Noop")
_BILINEAR, _BICUBIC = 2, 3
_KINDS = ("", "DepthWise", "1D", "DepthWise1D", "3D", "DepthWise3D")
_RECURRENT_WEIGHTS = ("weight_xc", "weight_hc", "weight_hr")


@dataclass(frozen=True)
class BlobSize:
    """A blob's shape, in ncnn's axes (channels first, no batch, not packed), and the bits of one value."""

    shape: tuple[int, ...]
    bits: int = 32

    @property
    def count(self) -> int:
        """How many values it holds."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many bytes its values are."""
        return self.count * self.bits // 8


@dataclass(frozen=True)
class Cost:
    """What one inference costs a layer at least."""

    macs: int
    input_bytes: int
    output_bytes: int
    weight_bytes: int

    @property
    def bytes(self) -> int:
        """All bytes together."""
        return self.input_bytes + self.output_bytes + self.weight_bytes


Blobs = Sequence[BlobSize]


def layer_cost(layer: Layer, inputs: Blobs, outputs: Blobs, weight_bits: int = 32) -> Cost:
    """Return the cost of a layer for blobs of these sizes; its tagged weights have `weight_bits` each."""
    count = _MACS.get(layer.type)
    macs = count(layer, inputs, outputs) if count else 0
    if layer.type in _MOVE_NOTHING:
        return Cost(macs, 0, 0, 0)
    written = sum(blob.bytes for blob in outputs)
    read = written if layer.type == "Crop" else sum(blob.bytes for blob in inputs)
    return Cost(macs, read, written, _weight_bytes(layer, weight_bits))


def graph_macs(graph: Graph) -> dict[str, int]:
    """Return the multiply-adds of each layer by name; none for a layer of whose blobs the graph lacks a shape."""

    def sizes(blobs: Sequence[str]) -> Blobs:
        return [BlobSize(graph.shapes[blob]) for blob in blobs]

    return {
        layer.name: layer_cost(layer, sizes(layer.inputs), sizes(layer.outputs)).macs
        if graph.shapes.keys() >= {*layer.inputs, *layer.outputs}
        else 0
        for layer in graph.layers
    }


def _weight_bytes(layer: Layer, weight_bits: int) -> int:
    return sum(spec.size * (weight_bits if spec.tagged else 32) // 8 for spec in layer.weight_specs())


def _has_dynamic_weight(layer: Layer) -> bool:
    return "dynamic_weight" in layer.schema.params and bool(layer.integer("dynamic_weight"))


def _each_output_pixel(layer: Layer, inputs: Blobs, outputs: Blobs) -> int:
    if _has_dynamic_weight(layer):
        per_output = inputs[1].count // layer.integer("num_output")
        return outputs[0].count * per_output
    return math.prod(outputs[0].shape[1:]) * layer.integer("weight_data_size")


def _each_input_pixel(layer: Layer, inputs: Blobs, _outputs: Blobs) -> int:
    weights = inputs[1].count if _has_dynamic_weight(layer) else layer.integer("weight_data_size")
    return math.prod(inputs[0].shape[1:]) * weights


def _each_row(layer: Layer, _inputs: Blobs, outputs: Blobs) -> int:
    return outputs[0].count // layer.integer("num_output") * layer.integer("weight_data_size")


def _gemm(layer: Layer, inputs: Blobs, outputs: Blobs) -> int:
    depth = layer.integer("constant_k")
    if not depth:
        depth = inputs[0].shape[0] if layer.integer("trans_a") else inputs[0].shape[-1]
    return outputs[0].count * depth


def _attention(layer: Layer, inputs: Blobs, _outputs: Blobs) -> int:
    embed = layer.integer("embed_dim")
    given = inputs[: len(inputs) - layer.integer("attn_mask")]  # q, [k, [v]]: one left out is the one before
    query, key, value = given[0], given[min(1, len(given) - 1)], given[-1]
    queries, keys = query.shape[0], key.shape[0]
    projections = embed * (2 * query.count + key.count + value.count)
    return projections + 2 * queries * keys * embed


def _scaled_dot_product(_layer: Layer, inputs: Blobs, outputs: Blobs) -> int:
    query, key = inputs[:2]
    keys = key.shape[1]
    return keys * (query.count + outputs[0].count)


def _each_step(layer: Layer, inputs: Blobs, _outputs: Blobs) -> int:
    weights = sum(spec.size for spec in layer.weight_specs() if spec.name in _RECURRENT_WEIGHTS)
    return inputs[0].shape[0] * weights


def _mat_mul(_layer: Layer, inputs: Blobs, outputs: Blobs) -> int:
    return outputs[0].count * inputs[0].shape[-1]


def _each_value(_layer: Layer, _inputs: Blobs, outputs: Blobs) -> int:
    return outputs[0].count


def _each_input_value(_layer: Layer, inputs: Blobs, _outputs: Blobs) -> int:
    return inputs[0].count


def _each_operand(_layer: Layer, inputs: Blobs, outputs: Blobs) -> int:
    return outputs[0].count * max(len(inputs) - 1, 1)


def _each_window(layer: Layer, inputs: Blobs, outputs: Blobs) -> int:
    if layer.integer("global_pooling") or layer.integer("adaptive_pooling"):
        return inputs[0].count
    return outputs[0].count * layer.integer("kernel_w") * layer.integer("kernel_h")


def _interpolation(layer: Layer, _inputs: Blobs, outputs: Blobs) -> int:
    return outputs[0].count * {_BILINEAR: 4, _BICUBIC: 16}.get(layer.integer("resize_type"), 0)


def _softmax(_layer: Layer, _inputs: Blobs, outputs: Blobs) -> int:
    return 2 * outputs[0].count


_MACS: dict[str, Callable[[Layer, Blobs, Blobs], int]] = {
    **{f"Convolution{kind}": _each_output_pixel for kind in _KINDS},
    **{f"Deconvolution{kind}": _each_input_pixel for kind in _KINDS},
    "DeformableConv2D": _each_output_pixel,
    "MultiHeadAttention": _attention,
    "SDPA": _scaled_dot_product,
    "LSTM": _each_step,
    "GRU": _each_step,
    "RNN": _each_step,
    "InnerProduct": _each_row,
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    "BatchNorm": _each_value,
    "Scale": _each_value,
    "PReLU": _each_value,
    "BinaryOp": _each_operand,
    "Eltwise": _each_operand,
    "Pooling": _each_window,
    "Interp": _interpolation,
    "Reduction": _each_input_value,
    "Softmax": _softmax,
}
