from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper

from ncnn_tools.inspect import list_passes
from ncnn_tools.passes import PASSES


def test_every_pass_says_what_it_does_in_a_line() -> None:
    passes = list_passes()
    assert [entry.name for entry in passes] == list(dict.fromkeys(apply.__name__ for apply in PASSES))
    assert len({entry.summary for entry in passes}) == len(passes)
    for entry in passes:
        assert 10 < len(entry.summary) < 120
        assert entry.applied is None


def test_how_often_each_applies(make_model: Callable[..., onnx.ModelProto]) -> None:
    model = make_model(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Add", ["b", "x"], ["y"]),
        ],
        {"x": [1, 3, 4, 4]},
        ["y"],
        {"w": np.random.default_rng(0).normal(0, 1, (3, 3, 3, 3)).astype(np.float32)},
    )
    applied = {entry.name: entry.applied for entry in list_passes(model)}
    assert applied["fuse_activations"] == 1
    assert applied["insert_splits"] == 1  # x is read twice
    assert sum(count or 0 for count in applied.values()) == 2
