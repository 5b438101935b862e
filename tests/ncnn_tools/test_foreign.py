"""Models of other converters: what ncnn lacks is named, names and Splits become those of this library's graphs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from ncnn_tools.errors import FormatError, GraphError, UnknownLayersError
from ncnn_tools.foreign import adopt, load_foreign
from ncnn_tools.graph import Graph
from ncnn_tools.param_file import legal_name, read_param
from ncnn_tools.runtime import Runtime

SHAPE = (1, 2, 3, 4)


def graph_of(*layers: str) -> Graph:
    fields = [line.split() for line in layers]
    blobs = {blob for line in fields for blob in line[4 : 4 + int(line[2]) + int(line[3])]}
    return read_param("\n".join(["7767517", f"{len(layers)} {len(blobs)}", *layers]))


def adopted(graph: Graph, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Graph:
    adopt(graph, inputs, outputs, dict.fromkeys([*inputs.values(), *outputs.values()], SHAPE))
    return graph


def run(graph: Graph, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    return Runtime.from_graph(graph).run(inputs, graph.outputs)


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, SHAPE[1:]).astype(np.float32)


def test_blobs_take_the_tensors_names_and_inputs_their_sizes(x: np.ndarray) -> None:
    graph = graph_of("Input in0 0 1 in0", "ReLU r 1 1 in0 1", "TanH t 1 1 1 out0")
    adopted(graph, {"in0": "my picture"}, {"out0": "mask"})
    assert (graph.inputs, graph.outputs) == (["my_picture"], ["mask"])
    assert graph.origins == {"my_picture": "my picture", "mask": "mask"}
    assert graph.shapes == {"my_picture": (2, 3, 4), "mask": (2, 3, 4)}
    assert [graph.layers[0].get(axis) for axis in ("c", "h", "w")] == [2, 3, 4]
    np.testing.assert_allclose(run(graph, my_picture=x)["mask"], np.tanh(np.maximum(x, 0)), atol=1e-6)


def test_an_output_that_is_read_again_becomes_a_branch(x: np.ndarray) -> None:
    """onnx2ncnn leaves it consumed by a layer or a Split, and ncnn frees what is consumed."""
    graph = graph_of(
        "Input x 0 1 x",
        "TanH t 1 1 x seg",
        "Split s 1 2 seg seg_0 seg_1",
        "ReLU r 1 1 seg_0 a",
        "BinaryOp b 2 1 a seg_1 alpha 0=1",
    )
    adopted(graph, {"x": "x"}, {"seg": "seg", "alpha": "alpha"})
    assert not graph.consumers().get("seg")
    assert [layer.type for layer in graph.layers].count("Split") == 1
    results = run(graph, x=x)
    np.testing.assert_allclose(results["seg"], np.tanh(x), atol=1e-6)
    np.testing.assert_allclose(results["alpha"], np.maximum(np.tanh(x), 0) - np.tanh(x), atol=1e-6)


def test_a_branch_that_is_an_output_takes_its_name(x: np.ndarray) -> None:
    """So pnnx writes it."""
    graph = graph_of("Input in0 0 1 in0", "TanH t 1 1 in0 5", "Split s 1 2 5 out0 7", "ReLU r 1 1 7 out1")
    adopted(graph, {"in0": "x"}, {"out0": "seg", "out1": "alpha"})
    results = run(graph, x=x)
    np.testing.assert_allclose(results["seg"], np.tanh(x), atol=1e-6)
    np.testing.assert_allclose(results["alpha"], np.maximum(np.tanh(x), 0), atol=1e-6)
    assert graph.producers()["seg"].type == "Split"


def test_two_outputs_of_one_tensor_stay_two(x: np.ndarray) -> None:
    graph = graph_of("Input in0 0 1 in0", "TanH t 1 1 in0 5", "Split s 1 2 5 out0 out1")
    results = run(adopted(graph, {"in0": "x"}, {"out0": "a", "out1": "b"}), x=x)
    np.testing.assert_array_equal(results["a"], results["b"])


def test_inputs_stand_in_the_models_order(x: np.ndarray) -> None:
    graph = graph_of(
        "Input in1 0 1 in1", "Input in0 0 1 in0", "Split s 1 2 in0 3 4", "BinaryOp b 2 1 3 in1 5 0=1",
        "BinaryOp c 2 1 5 4 out0 0=0",
    )  # fmt: skip
    adopted(graph, {"in0": "a", "in1": "b"}, {"out0": "y"})
    assert graph.inputs == ["a", "b"]
    np.testing.assert_allclose(run(graph, a=x, b=2 * x)["y"], x - 2 * x + x, atol=1e-6)


def test_a_blob_with_the_name_of_another_tensor_gives_way(x: np.ndarray) -> None:
    graph = graph_of("Input in0 0 1 in0", "TanH t 1 1 in0 y", "ReLU r 1 1 y x", "AbsVal a 1 1 x out0")
    adopted(graph, {"in0": "x"}, {"out0": "y"})
    assert graph.outputs == ["y"]
    np.testing.assert_allclose(run(graph, x=x)["y"], np.maximum(np.tanh(x), 0), atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ({"in1": "x"}, {"out0": "y"}, "its inputs are in0, not in1"),
        ({"in0": "x"}, {"out1": "y"}, "'out1' is given by no layer"),
        ({"in0": "x"}, {"in0": "y"}, "'in0' is an input"),
    ],
)
def test_other_inputs_and_outputs_are_refused(inputs, outputs, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        adopted(graph_of("Input in0 0 1 in0", "TanH t 1 1 in0 out0"), inputs, outputs)


def test_layers_that_ncnn_lacks_are_named_all(tmp_path: Path) -> None:
    lines = (
        "Input x 0 1 x",
        "Tensor.reshape r 1 1 x a shape=(1,-1)",
        "Tensor.reshape s 1 1 a b shape=(1,-1)",
        "pnnx.Expression e 1 1 b c expr=add(@0,1)",
    )
    (tmp_path / "m.param").write_text("\n".join(["7767517", "4 4", *lines]))
    with pytest.raises(UnknownLayersError, match=r"Tensor\.reshape \(2\), pnnx\.Expression$") as caught:
        load_foreign(tmp_path / "m.param", tmp_path / "m.bin")
    assert caught.value.types == {"Tensor.reshape": 2, "pnnx.Expression": 1}


@pytest.mark.parametrize("content", [b"", b"7767517\n", b"\xff\xfe", b"7767517\n1 1\nInput x 0 1 x\nReLU\n"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.param").write_bytes(content)
    (tmp_path / "m.bin").write_bytes(b"")
    with pytest.raises(FormatError):
        load_foreign(tmp_path / "m.param", tmp_path / "m.bin")


def test_legal_names() -> None:
    assert legal_name("/model/conv.0:0") == "/model/conv.0:0"
    assert legal_name("my picture (1)") == "my_picture__1_"
    assert legal_name("ä") == "_"
    long = legal_name("x" * 400)
    assert len(long) < 240
    assert long != legal_name("x" * 401)
