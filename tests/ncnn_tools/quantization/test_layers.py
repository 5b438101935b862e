"""Which layers int8 is for."""

from __future__ import annotations

from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.quantization import picture_blobs


def test_pictures_are_inputs_of_few_channels_wherever_a_split_hands_them_on() -> None:
    graph = Graph(
        [
            new_layer("Input", "photo", [], ["photo"], w=8, h=8, c=3),
            new_layer("Input", "features", [], ["features"], w=8, h=8, c=16),
            new_layer("Input", "vector", [], ["vector"], w=8),
            new_layer("Split", "s", ["photo"], ["p0", "p1"]),
            new_layer("Split", "t", ["features"], ["f0", "f1"]),
            new_layer("ReLU", "r", ["p0"], ["r"]),
        ],
        ["r", "p1", "f0", "f1", "vector"],
    )
    assert picture_blobs(graph) == {"photo", "p0", "p1"}
