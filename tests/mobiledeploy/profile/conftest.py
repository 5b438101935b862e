"""A run of a network of three layers, as if profiled on a phone."""

from __future__ import annotations

import json

import pytest

from mobiledeploy.benchmark import Run
from ncnn_tools.graph import Graph, new_layer


def blob(*shape: int, bits: int = 32, pack: int = 4) -> dict:
    return {"shape": list(shape), "elempack": pack, "elembits": bits}


@pytest.fixture
def graph() -> Graph:
    """A convolution of 1.44 M multiply-adds and 2.5 KB of weights, a Split, a ReLU."""
    convolution = new_layer(
        "Convolution", "conv", ["x"], ["a"], num_output=16, kernel_w=3, weight_data_size=576
    )
    return Graph(
        [
            new_layer("Input", "x", [], ["x"]),
            convolution,
            new_layer("Split", "split", ["a"], ["a0", "a1"]),
            new_layer("ReLU", "relu", ["a0"], ["y"]),
        ],
        outputs=["y"],
    )


@pytest.fixture
def roofline() -> dict:
    """Of one launch: 10 GMAC/s in fp32, 100 GB/s for what fits in 64 KiB, else 5."""
    return {
        "threads": 1,
        "cores": None,
        "peaks": [
            {"arithmetic": "fp32", "instruction": "fmla", "threads": 1, "gmacs": 10.0},
            {"arithmetic": "int8", "instruction": "sdot", "threads": 1, "gmacs": 40.0},
        ],
        "bandwidths": [
            {"bytes": 1 << 16, "threads": 1, "read_gbs": 90.0, "copy_gbs": 100.0},
            {"bytes": 1 << 24, "threads": 1, "read_gbs": 5.0, "copy_gbs": 4.0},
        ],
    }


@pytest.fixture
def run(make_run, roofline: dict) -> Run:
    """Three inferences of each kind, in two launches."""
    feature = blob(16, 50, 50)
    network = [
        {"name": "conv", "type": "Convolution", "inputs": [blob(4, 50, 50)], "outputs": [feature]},
        {"name": "split", "type": "Split", "inputs": [feature], "outputs": [feature, feature]},
        {"name": "relu", "type": "ReLU", "inputs": [feature], "outputs": [feature]},
    ]
    made = make_run(
        {
            "name": "fp32-1t",
            "bundle": {"path": "tiny", "manifest_sha256": "0" * 64},
            "untrained": False,
            "times_ms": [0.5, 0.6, 0.9],
            "launch": [0, 0, 1],
            "round": [0, 1, 0],
            "started_ms": [10.0, 20.0, 5.0],
            "layers": {
                "network": network,
                "launch": [0, 0, 1],
                "round": [0, 1, 0],
                "started_ms": [11.0, 18.0, 6.0],
                "times_ms": [[0.288, 0.001, 0.2], [0.3, 0.001, 0.25], [0.288, 0.002, 0.2]],
                "whole_ms": [0.5, 0.6, 0.52],
            },
        }
    )
    document = json.loads(json.dumps(made.document))
    document |= {"created": "2026-11-24T12:00:00+00:00", "mobiledeploy": "0"}
    document["launches"] = [{"readings": [], "rooflines": [roofline]} for _ in range(2)]
    return Run(document)
