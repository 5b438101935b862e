"""What is in a model: its layers with shapes, parameters, multiply-adds, bytes and kernels, and its peak memory.

`ncnn_model` for .param and .bin, `onnx_model` for ONNX, `pass_list` for what conversion does in between.
"""

from __future__ import annotations

from ncnn_tools.inspect.facts import BlobFacts, LayerFacts, ModelFacts, Totals
from ncnn_tools.inspect.memory import Peak, peak_activations
from ncnn_tools.inspect.ncnn_model import FreeInputsError, inspect_model, read_model
from ncnn_tools.inspect.onnx_model import inspect_onnx
from ncnn_tools.inspect.pass_list import PassFacts, list_passes

__all__ = [
    "BlobFacts",
    "FreeInputsError",
    "LayerFacts",
    "ModelFacts",
    "PassFacts",
    "Peak",
    "Totals",
    "inspect_model",
    "inspect_onnx",
    "list_passes",
    "peak_activations",
    "read_model",
]
