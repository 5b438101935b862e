"""Whether int8 can pay at all, as far as that can be said before anything is measured."""

from __future__ import annotations

from collections.abc import Collection

from mobiledeploy.device.facts import DeviceFacts
from ncnn_tools.cost import graph_macs
from ncnn_tools.graph import Graph, Layer
from ncnn_tools.grouped import grouped_layers, take_groups_apart
from ncnn_tools.quantization import quantizable_layers

# Instructions that multiply int8 four at a time and that the benchmark binary has kernels of: ARM's `sdot` and its
# successors, x86's VNNI of 512 bits (names of /proc/cpuinfo). Without them int8 is widened to 16 bits first, and a
# multiply-add costs as much as two of fp32.
_DOT_PRODUCTS = ("asimddp", "i8mm", "avx512_vnni")

# int8 kernels work on channels four or eight at a time; fewer leave them idle while the conversion stays.
_FEW_CHANNELS = 8

# Below this share of the multiply-adds no conversion between float and int8 is earned back.
LEAST_SHARE = 0.05


def int8_share(graph: Graph) -> float:
    """Return the share of a graph's multiply-adds that are of layers which can run in int8."""
    able = {layer.name for layer in quantizable_layers(graph)}
    macs = graph_macs(graph)
    return sum(macs[name] for name in able) / max(sum(macs.values()), 1)


def advice(graph: Graph, facts: DeviceFacts) -> list[str]:
    """Say, in sentences, what speaks against int8 on this device for this network; empty where nothing does."""
    said = []
    if not has_dot_product(facts.cpu_features):
        said.append(
            f"int8 will hardly pay on {facts.label}: its CPU has no dot product of int8 that ncnn is built for "
            f"({', '.join(_DOT_PRODUCTS)}), so that int8 saves memory more than time."
        )
    # What the network could be: whether groups are taken apart is up to the device.
    graph, _ = take_groups_apart(graph, [layer.name for layer in grouped_layers(graph)])
    share = int8_share(graph)
    if share < LEAST_SHARE:
        said.append(f"int8 is left out: layers that can run in it do {share:.0%} of the multiply-adds.")
        return said
    able, macs = quantizable_layers(graph), graph_macs(graph)
    thin = sum(macs[layer.name] for layer in able if _is_thin(graph, layer))
    of_able = thin / max(sum(macs[layer.name] for layer in able), 1)
    if of_able > 1 / 2:
        said.append(
            f"int8 will pay little: {of_able:.0%} of the multiply-adds that could be int8 are of layers with fewer "
            f"than {_FEW_CHANNELS} channels on one side, which its kernels can't fill."
        )
    return said


def has_dot_product(features: Collection[str]) -> bool:
    """Say whether int8 is multiplied and added in one instruction on a CPU."""
    return any(feature in features for feature in _DOT_PRODUCTS)


def _is_thin(graph: Graph, layer: Layer) -> bool:
    channels = [graph.shapes[blob][0] for blob in (layer.inputs[0], layer.outputs[0]) if blob in graph.shapes]
    return bool(channels) and min(channels) < _FEW_CHANNELS
