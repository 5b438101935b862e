"""Adaptive pooling as torch's exporter spells it out, recognized; what differs from it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.graph import Graph
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.onnx2ncnn.adaptive_pooling import adaptive_average_pool

Check = Callable[..., Graph]


class Pools(torch.nn.Module):
    """A convolution and several poolings of its result, joined."""

    def __init__(self, *sizes: int | tuple[int, int]) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 1)
        self.pools = torch.nn.ModuleList(torch.nn.AdaptiveAvgPool2d(size) for size in sizes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = self.conv(x)
        return tuple(pool(maps) for pool in self.pools)


def exported(module: torch.nn.Module, *shape: int) -> onnx.ModelProto:
    torch.manual_seed(0)
    program = torch.onnx.export(
        module.eval(), (torch.randn(shape),), dynamo=True, opset_version=18, verbose=False
    )
    assert program is not None
    return program.model_proto


@pytest.mark.parametrize(("size", "shape"), [(3, (8, 8)), ((2, 5), (7, 9)), (6, (8, 8))])
def test_sizes_that_do_not_divide_the_map(
    check_model: Check, size: int | tuple[int, int], shape: tuple[int, int]
) -> None:
    graph = check_model(exported(Pools(size), 1, 3, *shape))
    assert [layer.type for layer in graph.layers] == ["Input", "Convolution", "Pooling"]


def test_several_poolings_of_one_map(check_model: Check) -> None:
    graph = check_model(exported(Pools(1, 2, 3, 6), 1, 3, 8, 8))
    assert [layer.type for layer in graph.layers].count("Pooling") == 4


def test_by_torch() -> None:
    value = np.random.default_rng(0).normal(size=(1, 3, 7, 10)).astype(np.float32)
    for size in ((3, 4), (7, 1), (5, 9)):
        expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(value), size).numpy()
        np.testing.assert_allclose(adaptive_average_pool(value, size), expected, atol=1e-6)


def test_another_weight_is_not_adaptive_pooling() -> None:
    """One window is divided by another number: refused rather than taken for what it resembles."""
    model = exported(Pools(3), 1, 3, 8, 8)
    counts = next(t for t in model.graph.initializer if tuple(t.dims) == (3, 3))
    changed = numpy_helper.to_array(counts).copy()
    changed[1, 2] += 1
    counts.CopyFrom(numpy_helper.from_array(changed, counts.name))
    with pytest.raises(UnsupportedOperatorError, match="GatherND"):
        convert_onnx(model)


def test_a_step_that_is_read_elsewhere_is_not_replaced() -> None:
    model = exported(Pools(3), 1, 3, 8, 8)
    inner = next(node for node in model.graph.node if node.op_type == "GatherND").output[0]
    model.graph.node.append(helper.make_node("Flatten", [inner], ["more"]))
    model.graph.output.append(helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, None))
    model.graph.output[-1].type.tensor_type.shape.SetInParent()
    with pytest.raises(UnsupportedOperatorError, match="GatherND"):
        convert_onnx(model)


def test_nothing_else_is_touched(make_model: Callable[..., Any], check_model: Check) -> None:
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
    graph = check_model(make_model([node], {"x": (1, 3, 4, 4)}, ["y"]))
    assert graph.layers[-1].get("adaptive_pooling") == 0
