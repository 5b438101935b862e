from __future__ import annotations

import numpy as np

from mobiledeploy.mixed.padding import thresholds_behind_padding
from ncnn_tools.graph import Graph, new_layer


def test_zeros_change_no_threshold() -> None:
    graph = Graph(
        [
            new_layer("Input", "x", [], ["x"], w=4, h=4, c=3),
            new_layer("Padding", "pad", ["x"], ["padded"], front=0, behind=1),
            new_layer("ReLU", "relu", ["padded"], ["y"]),
            new_layer("Padding", "again", ["y"], ["z"], front=0, behind=4),
        ],
        ["z"],
    )
    assert thresholds_behind_padding(graph, {"x": 2.5}) == {"x": 2.5, "padded": 2.5}
    given = {"x": 2.5, "padded": np.float32(1.0), "y": 0.5}
    assert thresholds_behind_padding(graph, given) == {**given, "z": 0.5}
