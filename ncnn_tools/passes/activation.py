"""Fuse activations into the layer before them.

Convolutions, transposed convolutions and InnerProduct apply one of six activations to each value before they
write it (src/layer/fused_activation.h), which saves a pass over memory and computes the same function. PReLU with
one slope is ReLU with that slope; with a slope a channel it can't be fused.
"""

from __future__ import annotations

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.schema import Activation

_HOSTS = {"Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise", "InnerProduct"}


def fuse_activations(graph: Graph) -> int:
    """Fuse every activation that is the only reader of a layer that can apply it; return how many."""
    producers, consumers = graph.producers(), graph.consumers()
    fused: list[Layer] = []
    for layer in graph.layers:
        activation = _activation(layer)
        if activation is None:
            continue
        host = producers[layer.inputs[0]]
        free = host.type in _HOSTS and not host.get("activation_type")
        if not free or graph.sole_consumer(layer.inputs[0], consumers) is not layer:
            continue
        kind, params = activation
        host.set("activation_type", int(kind))
        if params:
            host.set("activation_params", params)
        host.outputs = layer.outputs
        producers[layer.outputs[0]] = host
        fused.append(layer)
    graph.remove(fused)
    return len(fused)


def _activation(layer: Layer) -> tuple[Activation, tuple[float, ...]] | None:
    """Return the fused form of an activation layer: its type and parameters, or None."""
    if layer.type == "PReLU" and layer.get("num_slope") == 1:
        return Activation.LEAKY_RELU, (float(layer.weights["slope"].data[0]),)
    if layer.type == "ReLU":
        slope = float(layer.get("slope"))
        return (Activation.LEAKY_RELU, (slope,)) if slope else (Activation.RELU, ())
    if layer.type == "Clip":
        return Activation.CLIP, (float(layer.get("min")), float(layer.get("max")))
    if layer.type == "HardSwish":
        return Activation.HARD_SWISH, (float(layer.get("alpha")), float(layer.get("beta")))
    plain = {"Sigmoid": Activation.SIGMOID, "Mish": Activation.MISH}.get(layer.type)
    return None if plain is None else (plain, ())
