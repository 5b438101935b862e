"""The rules of multiply-adds and bytes, each on an example counted by hand."""

from __future__ import annotations

import pytest

from ncnn_tools.cost import BlobSize, layer_cost
from ncnn_tools.graph import Layer, new_layer


def sizes(*shapes: tuple[int, ...], bits: int = 32) -> list[BlobSize]:
    return [BlobSize(shape, bits) for shape in shapes]


def layer(kind: str, **params) -> Layer:
    return new_layer(kind, kind, ["in"], ["out"], **params)


MAP = (4, 10, 6)  # 240 values


@pytest.mark.parametrize(
    ("made", "inputs", "outputs", "macs"),
    [
        # 5 x 3 output pixels, 8 channels, 3 x 3 windows of 4 channels
        (layer("Convolution", num_output=8, kernel_w=3, weight_data_size=288), [MAP], [(8, 5, 3)], 4320),
        # four groups of one channel
        (
            layer("ConvolutionDepthWise", num_output=4, kernel_w=3, group=4, weight_data_size=36),
            [MAP], [MAP], 60 * 36,
        ),
        # each of 60 input pixels, of 4 channels, goes to 2 x 2 outputs in 8 channels
        (layer("Deconvolution", num_output=8, kernel_w=2, weight_data_size=128), [MAP], [(8, 20, 12)], 60 * 128),
        (layer("InnerProduct", num_output=5, weight_data_size=100), [(20,)], [(5,)], 100),
        (layer("InnerProduct", num_output=5, weight_data_size=100), [(7, 20)], [(7, 5)], 700),
        (layer("Gemm"), [(7, 20), (20, 5)], [(7, 5)], 700),
        (layer("Gemm", trans_a=1), [(20, 7), (20, 5)], [(7, 5)], 700),
        (layer("Gemm", constant_b=1, constant_n=5, constant_k=20), [(7, 20)], [(7, 5)], 700),
        (layer("MatMul"), [(2, 7, 20), (2, 20, 5)], [(2, 7, 5)], 1400),
        # 5 output positions, 8 channels, windows of 3 in 4 channels; and the same with a depth of 3
        (layer("Convolution1D", num_output=8, kernel_w=3, weight_data_size=96), [(4, 10)], [(8, 5)], 480),
        (
            layer("Convolution3D", num_output=8, kernel_w=3, weight_data_size=864),
            [(4, 3, 10, 6)], [(8, 3, 5, 3)], 45 * 864,
        ),
        # of 3 heads: 7 queries with 9 keys of width 4, and these with 9 values of width 5
        (layer("SDPA"), [(3, 7, 4), (3, 9, 4), (3, 9, 5)], [(3, 7, 5)], 3 * 7 * 9 * (4 + 5)),
        # 7 queries of 6 values and 9 keys and values of 8, all to a width of 12 and the result back
        (
            layer("MultiHeadAttention", embed_dim=12, num_heads=3, weight_data_size=72, kdim=8, vdim=8),
            [(7, 6), (9, 8)], [(7, 6)], 12 * (2 * 7 * 6 + 2 * 9 * 8) + 2 * 7 * 9 * 12,
        ),
        (
            layer("MultiHeadAttention", embed_dim=6, num_heads=2, weight_data_size=36, attn_mask=1),
            [(7, 6), (7, 7)], [(7, 6)], 4 * 6 * 7 * 6 + 2 * 7 * 7 * 6,
        ),
        # 9 steps: four gates of 5 cells, from 3 inputs and 5 outputs, in two directions
        (
            layer("LSTM", num_output=5, weight_data_size=2 * 4 * 5 * 3, direction=2),
            [(9, 3)], [(9, 10)], 9 * 2 * 4 * 5 * (3 + 5),
        ),
        (layer("BatchNorm", channels=4), [MAP], [MAP], 240),
        (layer("PReLU", num_slope=4), [MAP], [MAP], 240),
        (layer("BinaryOp"), [MAP, MAP], [MAP], 240),
        (layer("BinaryOp", with_scalar=1, b=2.0), [MAP], [MAP], 240),
        (layer("Eltwise"), [MAP, MAP, MAP], [MAP], 480),
        (layer("Pooling", kernel_w=3, stride_w=2), [MAP], [(4, 5, 3)], 60 * 9),
        (layer("Pooling", kernel_w=3, kernel_h=2), [MAP], [(4, 5, 3)], 60 * 6),
        (layer("Pooling", global_pooling=1), [MAP], [(4,)], 240),
        (layer("Interp", resize_type=2), [MAP], [(4, 20, 12)], 4 * 960),
        (layer("Interp", resize_type=1), [MAP], [(4, 20, 12)], 0),
        (layer("Reduction"), [MAP], [(1,)], 240),
        (layer("Softmax"), [MAP], [MAP], 480),
        (layer("ReLU"), [MAP], [MAP], 0),
        (layer("Concat"), [MAP, MAP], [(8, 10, 6)], 0),
        (layer("Split"), [MAP], [MAP, MAP], 0),
    ],
)  # fmt: skip
def test_multiply_adds(made: Layer, inputs, outputs, macs: int) -> None:
    assert layer_cost(made, sizes(*inputs), sizes(*outputs)).macs == macs


def test_weights_of_a_dynamic_convolution_are_its_second_input() -> None:
    made = layer("Convolution", num_output=8, kernel_w=3, dynamic_weight=1)
    assert layer_cost(made, sizes(MAP, (8, 4, 9)), sizes((8, 5, 3))).macs == 4320


def test_bytes_are_those_of_the_elements_that_were_there() -> None:
    made = layer(
        "Convolution", num_output=8, kernel_w=3, weight_data_size=288, bias_term=1, int8_scale_term=2
    )
    cost = layer_cost(made, sizes(MAP, bits=8), sizes((8, 5, 3), bits=16), weight_bits=8)
    assert (cost.input_bytes, cost.output_bytes) == (240, 240)
    # eight bits a weight; four bytes each for 8 biases, 8 weight scales and the input's scale
    assert cost.weight_bytes == 288 + 4 * (8 + 8 + 1)
    assert cost.bytes == 480 + cost.weight_bytes


@pytest.mark.parametrize(
    ("kind", "inputs", "outputs", "expected"),
    [
        ("Split", [MAP], [MAP, MAP], 0),
        ("Input", [], [MAP], 0),
        ("Crop", [MAP], [(1, 10, 6)], 2 * 240),
        ("Concat", [MAP, MAP], [(8, 10, 6)], 4 * 960),
        ("ReLU", [MAP], [MAP], 2 * 960),
    ],
)
def test_bytes_of_what_only_moves(kind: str, inputs, outputs, expected: int) -> None:
    assert layer_cost(layer(kind), sizes(*inputs), sizes(*outputs)).bytes == expected
