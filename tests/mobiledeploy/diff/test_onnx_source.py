from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper
from scipy.signal import correlate

from mobiledeploy.diff.onnx_source import OnnxSource
from mobiledeploy.source.onnx_file import OnnxFile, load_onnx
from mobiledeploy.source.reference import TensorSpec


def test_every_tensor_can_be_asked_for(make_onnx) -> None:
    file = load_onnx(make_onnx("net"))
    source = OnnxSource("net", file)
    assert [tensor.key for tensor in source.tensors] == ["conv0", "relu0", "conv1", "relu1", "conv2", "y"]
    assert source.tensors[1].parents == ("conv0",)
    assert source.tensors[2].shape == (1, 8, 16, 16)
    picture = np.random.default_rng(1).normal(size=(1, 3, 16, 16)).astype(np.float32)
    values = source.values(["conv0", "relu0"], [picture])
    kernel = onnx.numpy_helper.to_array(file.model.graph.initializer[0])
    expected = sum(correlate(picture[0, c], kernel[5, c], mode="same") for c in range(3)) + 0.1
    np.testing.assert_allclose(values["conv0"][0, 5], expected, atol=1e-5)
    np.testing.assert_array_equal(values["relu0"], np.maximum(values["conv0"], 0))


def test_integers_and_constants_are_no_intermediates() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["size"]),
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Mul", ["x", "two"], ["double"]),
        helper.make_node("Reshape", ["double", "size"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    specs = (TensorSpec("x", (1, 4)),), (TensorSpec("y", (1, 4)),)
    source = OnnxSource("g", OnnxFile(model, *specs))
    assert [(tensor.key, tensor.layer) for tensor in source.tensors] == [("double", "double"), ("y", "y")]
