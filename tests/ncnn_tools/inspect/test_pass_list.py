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
    constants = {
        "w": np.ones((4, 3, 1, 1), np.float32),
        **{name: np.ones(4, np.float32) for name in ("scale", "bias", "mean", "var")},
    }
    model = make_model(
        [
            helper.make_node("Conv", ["x", "w"], ["a"]),
            helper.make_node("BatchNormalization", ["a", "scale", "bias", "mean", "var"], ["b"]),
            helper.make_node("Relu", ["b"], ["c"]),
            helper.make_node("Add", ["c", "x"], ["y"]),
        ],
        {"x": [1, 3, 1, 1]},
        ["y"],
        {**constants, "w": np.ones((3, 3, 1, 1), np.float32)}
        | {k: v[:3] for k, v in constants.items() if k != "w"},
    )
    applied = {entry.name: entry.applied for entry in list_passes(model)}
    assert applied["fold_batch_norms"] == 1
    assert applied["fuse_activations"] == 1
    assert applied["insert_splits"] == 1  # x is read twice
    assert applied["fuse_channel_shuffles"] == 0
