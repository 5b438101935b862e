"""onnx2ncnn: from a static-shape ONNX model to a `Graph`.

`qdq` takes quantized models apart, `source` reads the ONNX file, `builder` makes layers, the `*_ops` modules convert
one family of operators each.
ONNX tensors carry a batch axis of 1 that ncnn does not have: ONNX shape (1, C, H, W) is ncnn's (C, H, W).
Whatever can't be converted exactly raises UnsupportedOperatorError; nothing is guessed or left out.
"""

from __future__ import annotations

from ncnn_tools.onnx2ncnn.convert import OPERATORS, convert_onnx
from ncnn_tools.onnx2ncnn.qdq import FloatModel, is_quantized, without_pairs

__all__ = ["OPERATORS", "FloatModel", "convert_onnx", "is_quantized", "without_pairs"]
