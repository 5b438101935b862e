"""Layers without weights, and those that are only carried through."""

from __future__ import annotations

from ncnn_tools.schema.base import LayerSchema, params, raw_weights

PLAIN = [
    LayerSchema("Input", params(w=(0, 0), h=(1, 0), c=(2, 0), d=(11, 0))),
    LayerSchema("Split"),
    LayerSchema("Noop"),
    LayerSchema("Dropout", params(scale=(0, 1.0))),
    LayerSchema("Concat", params(axis=(0, 0))),
    LayerSchema("Slice", params(slices=(0, ()), axis=(1, 0), indices=(2, ()))),
    LayerSchema("Crop", params(starts=(9, ()), ends=(10, ()), axes=(11, ()))),
    LayerSchema("Flatten"),
    LayerSchema("Reshape", params(w=(0, -233), h=(1, -233), c=(2, -233), d=(11, -233))),
    LayerSchema("Permute", params(order_type=(0, 0))),
    LayerSchema("Squeeze", params(axes=(3, ()))),
    LayerSchema("ExpandDims", params(axes=(3, ()))),
    LayerSchema("ShuffleChannel", params(group=(0, 1), reverse=(1, 0))),
    LayerSchema("PixelShuffle", params(upscale_factor=(0, 1), mode=(1, 0))),
    LayerSchema("ReLU", params(slope=(0, 0.0))),
    LayerSchema("Clip", params(min=(0, -3.4028235e38), max=(1, 3.4028235e38))),
    LayerSchema("Sigmoid"),
    LayerSchema("TanH"),
    LayerSchema("Swish"),
    LayerSchema("Mish"),
    LayerSchema("ELU", params(alpha=(0, 0.1))),
    LayerSchema("CELU", params(alpha=(0, 1.0))),
    LayerSchema("SELU", params(alpha=(0, 1.67326324), gamma=(1, 1.050700987))),
    LayerSchema("Erf"),
    LayerSchema("Shrink", params(bias=(0, 0.0), lambd=(1, 0.5))),
    LayerSchema("Threshold", params(threshold=(0, 0.0))),
    LayerSchema("CumulativeSum", params(axis=(0, 0))),
    LayerSchema("Flip", params(axes=(0, ()))),
    LayerSchema("Tile", params(axis=(0, 0), tiles=(1, 1), repeats=(2, ()))),
    LayerSchema("MVN", params(normalize_variance=(0, 0), across_channels=(1, 0), eps=(2, 0.0001))),
    LayerSchema(
        "LRN", params(region_type=(0, 0), local_size=(1, 5), alpha=(2, 1.0), beta=(3, 0.75), bias=(4, 1.0))
    ),
    LayerSchema(
        "GridSample",
        params(sample_type=(0, 1), padding_mode=(1, 1), align_corner=(2, 0), permute_fusion=(3, 0)),
    ),
    LayerSchema("Softplus"),
    LayerSchema("Reorg", params(stride=(0, 1), mode=(1, 0))),
    LayerSchema("GELU", params(fast_gelu=(0, 0))),
    LayerSchema("HardSigmoid", params(alpha=(0, 0.2), beta=(1, 0.5))),
    LayerSchema("HardSwish", params(alpha=(0, 0.2), beta=(1, 0.5))),
    LayerSchema("Softmax", params(axis=(0, 0), fixbug0=(1, 0))),
    LayerSchema("BinaryOp", params(op_type=(0, 0), with_scalar=(1, 0), b=(2, 0.0))),
    LayerSchema("UnaryOp", params(op_type=(0, 0))),
    LayerSchema("Eltwise", params(op_type=(0, 0), coeffs=(1, ()))),
    LayerSchema(
        "Reduction",
        params(
            operation=(0, 0), reduce_all=(1, 1), coeff=(2, 1.0), axes=(3, ()), keepdims=(4, 0), fixbug0=(5, 0)
        ),
    ),
    LayerSchema(
        "Pooling",
        params(
            pooling_type=(0, 0),
            kernel_w=(1, 0),
            stride_w=(2, 1),
            pad_left=(3, 0),
            global_pooling=(4, 0),
            pad_mode=(5, 0),
            avgpool_count_include_pad=(6, 0),
            adaptive_pooling=(7, 0),
            out_w=(8, 0),
            kernel_h=(11, "kernel_w"),
            stride_h=(12, "stride_w"),
            pad_top=(13, "pad_left"),
            pad_right=(14, "pad_left"),
            pad_bottom=(15, "pad_top"),
            out_h=(18, "out_w"),
        ),
    ),
    LayerSchema(
        "Padding",
        params(
            top=(0, 0),
            bottom=(1, 0),
            left=(2, 0),
            right=(3, 0),
            type=(4, 0),
            value=(5, 0.0),
            per_channel_size=(6, 0),
            front=(7, 0),
            behind=(8, 0),
        ),
        raw_weights(value="per_channel_size"),
    ),
    LayerSchema(
        "Interp",
        params(
            resize_type=(0, 0),
            height_scale=(1, 1.0),
            width_scale=(2, 1.0),
            output_height=(3, 0),
            output_width=(4, 0),
            dynamic_target_size=(5, 0),
            align_corner=(6, 0),
        ),
    ),
]

# Layers that carry no weights and that nothing here writes: known, so that files holding them can be read.
# fmt: off
OTHERS = (
    "AbsVal", "ArgMax", "BNLL", "Cast", "CopyTo", "DeepCopy", "DetectionOutput", "Diag",
    "Einsum", "Exp", "Fold", "GLU", "InverseSpectrogram", "Log",
    "PSROIPooling", "Packing", "Pooling1D", "Pooling3D", "Power", "PriorBox", "Proposal", "ROIAlign", "ROIPooling",
    "RotaryEmbed", "SPP", "Spectrogram", "StatisticsPooling",
    "Unfold", "YoloDetectionOutput", "Yolov3DetectionOutput",
)
# fmt: on
