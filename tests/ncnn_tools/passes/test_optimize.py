"""All passes together, on random networks: same values, and the promises that hold of every optimized graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from ncnn_tools.graph import Graph
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.param_file import read_param, write_param
from ncnn_tools.passes import optimize
from ncnn_tools.runtime import Runtime

SHAPE = (1, 4, 5, 6)
OPERATORS = [
    "Conv",
    "BatchNormalization",
    "Relu",
    "PRelu",
    "Sigmoid",
    "Identity",
    "Reshape",
    "Add",
    "Mul",
    "Concat",
    "Split",
    "Pointwise",
    "Depthwise",
    "Scaled",
    "Shifted",
    "Pool",
    "Swish",
    "Enlarged",
]


def constants() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "conv_w": rng.normal(0, 0.3, (4, 4, 3, 3)).astype(np.float32),
        "conv_w2": rng.normal(0, 0.3, (4, 8, 1, 1)).astype(np.float32),
        "conv_w1": rng.normal(0, 0.4, (4, 4, 1, 1)).astype(np.float32),
        "conv_dw": rng.normal(0, 0.4, (4, 1, 3, 3)).astype(np.float32),
        "factors": rng.normal(0, 1, (1, 4, 1, 1)).astype(np.float32),
        "size": np.array([1, 4, 10, 12]),
        "slope": rng.normal(0, 1, (4, 1, 1)).astype(np.float32),
        "one_slope": np.array([[[0.3]]], np.float32),
        "scale": rng.normal(1, 0.2, 4).astype(np.float32),
        "bias": rng.normal(0, 1, 4).astype(np.float32),
        "mean": rng.normal(0, 1, 4).astype(np.float32),
        "var": rng.uniform(0.5, 2, 4).astype(np.float32),
        "shape": np.array(SHAPE),
        "halves": np.array([2, 2]),
        "two": np.array([[[2.0]]], np.float32),
    }


def nodes_for(operator: str, name: str, one: str, other: str, variant: bool) -> list[onnx.NodeProto]:
    """Make the nodes of one step: from one or two tensors of SHAPE to another of SHAPE, called `name`."""
    make = helper.make_node
    if operator == "Concat":
        joined = make("Concat", [one, other], [f"{name}_joined"], axis=1)
        return [joined, make("Conv", [f"{name}_joined", "conv_w2"], [name])]
    if operator == "Split":
        parts = [f"{name}_a", f"{name}_b"]
        return [make("Split", [one, "halves"], parts, axis=1), make("Concat", parts[::-1], [name], axis=1)]
    if operator == "Swish":
        gate = f"{name}_gate"
        return [make("Sigmoid", [one], [gate]), make("Mul", [one, gate], [name])]
    if operator == "Enlarged":
        return enlarged(name, one, variant)
    if operator in ("Pointwise", "Depthwise"):
        weight, attributes = (
            ("conv_w1", {}) if operator == "Pointwise" else ("conv_dw", {"group": 4, "pads": [1] * 4})
        )
        return [make("Conv", [one, weight, *(["bias"] if variant else [])], [name], **attributes)]
    if operator == "Pool":
        kind = "MaxPool" if variant else "AveragePool"
        return [make(kind, [one], [name], kernel_shape=[3, 3], pads=[1, 1, 1, 1])]
    inputs = {
        "Scaled": [one, "factors"],
        "Shifted": ["factors", one] if variant else [one, "factors"],
        "Conv": [one, "conv_w"],
        "BatchNormalization": [one, "scale", "bias", "mean", "var"],
        "PRelu": [one, "one_slope" if variant else "slope"],
        "Reshape": [one, "shape"],
        "Add": [one, "two" if variant else other],
        "Mul": [one, other],
    }.get(operator, [one])
    attributes = {"pads": [1, 1, 1, 1]} if operator == "Conv" else {}
    operator = {"Scaled": "Mul", "Shifted": "Sub"}.get(operator, operator)
    return [make(operator, inputs, [name], **attributes)]


def enlarged(name: str, one: str, variant: bool) -> list[onnx.NodeProto]:
    """Enlarge, mix the channels of what is enlarged (after a Concat with itself, as a variant), and shrink again."""
    make = helper.make_node
    names = [f"{name}_{part}" for part in ("large", "joined", "mixed")]
    return [
        make("Resize", [one, "", "", "size"], [names[0]], mode="linear"),
        *([make("Concat", [names[0], names[0]], [names[1]], axis=1)] if variant else []),
        make("Conv", [names[1], "conv_w2"] if variant else [names[0], "conv_w1"], [names[2]]),
        make("AveragePool", [names[2]], [name], kernel_shape=[2, 2], strides=[2, 2]),
    ]


@st.composite
def networks(draw: st.DrawFn, make_model: Callable[..., onnx.ModelProto]) -> onnx.ModelProto:
    tensors = ["x"]
    nodes: list[onnx.NodeProto] = []
    for index in range(draw(st.integers(1, 12))):
        name = f"t{index}"
        recent = tensors[-3:]
        one, other = draw(st.sampled_from(recent)), draw(st.sampled_from(tensors))
        nodes += nodes_for(draw(st.sampled_from(OPERATORS)), name, one, other, draw(st.booleans()))
        tensors.append(name)
    outputs = draw(st.lists(st.sampled_from(tensors[1:]), min_size=1, max_size=3, unique=True))
    return make_model(nodes, {"x": SHAPE}, outputs, constants())


def assert_promises(graph: Graph, outputs: list[str]) -> None:
    """Check what holds of every optimized graph that started from these outputs."""
    readers = Counter(blob for layer in graph.layers for blob in layer.inputs)
    assert graph.outputs == outputs
    assert all(readers[blob] == 0 for blob in outputs)
    assert all(count == 1 for count in readers.values())
    for layer in graph.layers:
        assert layer.type != "Noop" or layer.outputs[0].removesuffix("_whole") in outputs
        if layer.type == "Split":
            assert len(layer.outputs) >= 2
            assert all(readers[blob] == 1 or blob in outputs for blob in layer.outputs)
        elif layer.type != "Input":
            assert any(readers[blob] or blob in outputs for blob in layer.outputs)
    assert set(graph.origins) <= set(graph.blobs())
    text = write_param(graph)
    assert write_param(read_param(text)) == text


@settings(max_examples=120)
@given(data=st.data())
def test_random_networks(
    make_model: Callable[..., onnx.ModelProto],
    random_inputs: Callable[..., Any],
    run_onnx: Callable[..., Any],
    assert_close: Callable[..., None],
    data: st.DataObject,
) -> None:
    model = data.draw(networks(make_model))
    converted = convert_onnx(model)
    before = [layer.outputs[:] for layer in converted.layers]
    graph = optimize(converted)
    assert [layer.outputs for layer in converted.layers] == before, "the graph that was given is left alone"
    assert_promises(graph, converted.outputs)
    feeds = random_inputs(model)
    tensors = sorted(set(graph.origins.values()) - {"x"})
    expected = {"x": feeds["x"], **run_onnx(model, feeds, tensors)}
    values = Runtime.from_graph(graph).run({"x": feeds["x"][0]}, graph.origins)
    for blob, tensor in graph.origins.items():
        assert_close(values[blob], expected[tensor], f"{blob} ({tensor})")
