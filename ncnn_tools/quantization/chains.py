"""int8 chains: a convolution gives int8 where every reader takes it, so that nothing goes through float between.

ncnn's Convolution and ConvolutionDepthWise requantize where int8_scale_term > 100: bias, then the fused activation
(all six of `fused_activation.h` in float: `requantize.cpp`, `activation_ss` in the depthwise kernels; a ReLU in the
3x3 depthwise kernels on the int8 values, which is the same), then times the output scale. Convolution,
ConvolutionDepthWise and InnerProduct skip quantizing where their input is int8 already; Split hands it on.
InnerProduct reads no output scale and always gives float. ncnn never dequantizes on its own: any other reader,
and whoever extracts the blob, would take the int8 values for its own, so such blobs stay float.
"""

from __future__ import annotations

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, Storage, Weight
from ncnn_tools.quantization.layers import is_int8

_REQUANTIZE = 100  # added to int8_scale_term
INT8_GIVERS = ("Convolution", "ConvolutionDepthWise")


def chain(graph: Graph) -> int:
    """Let int8 convolutions give int8 wherever all readers take it, in place; returns how many now do."""
    consumers = graph.consumers()
    chained = 0
    for layer in graph.layers:
        if layer.type not in INT8_GIVERS or not is_int8(layer) or gives_int8(layer):
            continue
        scale = _common_input_scale(graph, layer.outputs[0], consumers)
        if scale is not None:
            layer.set("int8_scale_term", layer.get("int8_scale_term") + _REQUANTIZE)
            layer.weights["output_scale"] = Weight(scale.data, Storage.RAW)
            chained += 1
    return chained


def unchain(graph: Graph) -> Graph:
    """Return a copy in which every layer gives float: what `chain` did, undone."""
    result = graph.copy()
    for layer in result.layers:
        if gives_int8(layer):
            layer.set("int8_scale_term", layer.get("int8_scale_term") - _REQUANTIZE)
            del layer.weights["output_scale"]
    return result


def gives_int8(layer: Layer) -> bool:
    """Return whether a layer's output is int8."""
    return is_int8(layer) and bool(layer.get("int8_scale_term") > _REQUANTIZE)


def _common_input_scale(graph: Graph, blob: str, consumers: dict[str, list[Layer]]) -> Weight | None:
    """Return the input scale that all readers of a blob share, through Splits; None where one is not int8."""
    if blob in graph.outputs:
        return None
    found: Weight | None = None
    for layer in consumers.get(blob, []):
        if layer.type == "Split":
            branches = [_common_input_scale(graph, output, consumers) for output in layer.outputs]
        else:
            branches = [layer.weights.get("input_scale") if is_int8(layer) else None]
        for scale in branches:
            if scale is None or (found is not None and scale != found):
                return None
            found = scale
    return found


def check_chains(graph: Graph) -> None:
    """Raise GraphError unless each int8 blob reaches only layers that take int8, at the scale it was made with."""
    scales: dict[str, Weight] = {}
    for layer in graph.layers:
        if layer.type == "InnerProduct" and layer.get("int8_scale_term") > _REQUANTIZE:
            raise GraphError(f"layer {layer.name!r}: InnerProduct gives no int8, but int8_scale_term says so")
        for blob in layer.inputs:
            if blob in scales:
                _check_reader(layer, blob, scales[blob])
        if layer.type == "Split" and layer.inputs[0] in scales:
            scales.update(dict.fromkeys(layer.outputs, scales[layer.inputs[0]]))
        elif gives_int8(layer):
            scales[layer.outputs[0]] = layer.weights["output_scale"]
    for blob in graph.outputs:
        if blob in scales:
            raise GraphError(f"output {blob!r} is int8; ncnn gives it out without its scale")


def _check_reader(layer: Layer, blob: str, scale: Weight) -> None:
    if layer.type == "Split":
        return
    if not is_int8(layer):
        raise GraphError(f"layer {layer.name!r} ({layer.type}) takes no int8, but blob {blob!r} is int8")
    if layer.weights["input_scale"] != scale:
        raise GraphError(
            f"layer {layer.name!r} reads int8 blob {blob!r} at another scale than it was made with"
        )
