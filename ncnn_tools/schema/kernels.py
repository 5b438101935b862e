"""How ncnn runs each layer type: in place or not, and in what arithmetic on ARM.

Read from version 1.0.20261020: `support_inplace` is set in `src/layer/*.cpp`, `support_fp16_storage` in
`src/layer/arm/*_arm.cpp` (for CPUs with asimdhp, ARMv8.2), and the kernels that compute in fp16 are the files
`src/layer/arm/*_arm_asimdhp.cpp`. Which types have int8 kernels stands in the schema itself (`LayerSchema.int8`).
"""

from __future__ import annotations

from enum import Enum

from ncnn_tools.schema.base import Lookup


class Fp16(str, Enum):
    """What a layer does where the network runs in fp16 on ARM."""

    ARITHMETIC = "yes"
    MOVES = "moves"  # takes and gives fp16 values without computing on them
    NONE = "no"  # net.cpp converts its inputs to fp32 first, and its outputs where the next layer takes fp16


# fmt: off
# These overwrite their input in light mode, which is ncnn's default (do_forward_layer in src/net.cpp).
IN_PLACE = frozenset({
    "AbsVal", "BNLL", "BatchNorm", "Bias", "CELU", "Clip", "CumulativeSum", "Dropout", "ELU", "Erf", "Exp", "GELU",
    "GroupNorm", "HardSigmoid", "HardSwish", "Input", "InstanceNorm", "LRN", "LayerNorm", "Log", "Mish", "Noop",
    "Normalize", "PReLU", "Power", "RMSNorm", "ReLU", "SELU", "Scale", "Shrink", "Sigmoid", "Softmax", "Softplus",
    "Swish", "TanH", "Threshold", "UnaryOp", "YoloDetectionOutput",
})

# MatMul, MultiHeadAttention and SDPA have no fp16 kernels of their own: they call Gemm's.
_FP16_ARITHMETIC = frozenset({
    "BatchNorm", "BinaryOp", "Clip", "Convolution", "Convolution1D", "ConvolutionDepthWise", "Deconvolution",
    "DeconvolutionDepthWise", "Dequantize", "ELU", "Eltwise", "Erf", "GELU", "GRU", "Gemm", "GroupNorm",
    "HardSigmoid", "HardSwish", "InnerProduct", "InstanceNorm", "Interp", "LSTM", "LayerNorm", "MatMul", "Mish",
    "MultiHeadAttention", "PReLU", "Pooling", "Quantize", "RMSNorm", "RNN", "ReLU", "RotaryEmbed", "SDPA", "SELU",
    "Sigmoid", "Softmax", "Swish", "TanH", "UnaryOp",
})
_FP16_MOVES = frozenset({
    "Cast", "Concat", "Crop", "Flatten", "Noop", "Packing", "Padding", "PixelShuffle", "Reshape", "ShuffleChannel",
    "Slice", "Split",
})
# fmt: on


def works_in_place(kind: str, get: Lookup) -> bool:
    """Say whether a layer of this type overwrites its inputs; `get` returns its integer parameters by name."""
    if kind == "BinaryOp":
        return bool(get("with_scalar"))
    return kind in IN_PLACE


def fp16_on_arm(kind: str, get: Lookup) -> Fp16:
    """Say what a layer of this type does in fp16 on ARM; `get` returns its integer parameters by name."""
    if kind == "Pooling" and get("adaptive_pooling"):
        return Fp16.NONE  # create_pipeline in pooling_arm.cpp takes fp16 back for it
    if kind in _FP16_ARITHMETIC:
        return Fp16.ARITHMETIC
    return Fp16.MOVES if kind in _FP16_MOVES else Fp16.NONE
