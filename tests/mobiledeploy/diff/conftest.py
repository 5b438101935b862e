"""Small ONNX models, and models as plain values for what needs no numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobiledeploy.diff.source import Intermediate
from mobiledeploy.source.reference import TensorSpec


@pytest.fixture
def make_onnx(tmp_path: Path) -> Callable[..., Path]:
    """Write a chain of three convolutions with ReLUs; names, biases and pads can be changed."""

    def make(
        name: str,
        *,
        prefix: str = "",
        bias: Mapping[int, float] | None = None,
        pads: Mapping[int, Sequence[int]] | None = None,
        outputs: Sequence[str] = ("y",),
        side: int = 16,
    ) -> Path:
        generator = np.random.default_rng(0)
        nodes, weights, value = [], [], "x"
        for number, (into, out) in enumerate(((3, 8), (8, 8), (8, 4))):
            kernel = generator.normal(0, (into * 9) ** -0.5, (out, into, 3, 3)).astype(np.float32)
            offset = np.full(out, (bias or {}).get(number, 0.1), np.float32)
            weights += [
                numpy_helper.from_array(kernel, f"w{number}"),
                numpy_helper.from_array(offset, f"b{number}"),
            ]
            conv, relu = f"{prefix}conv{number}", f"{prefix}relu{number}"
            relu = outputs[0] if number == 2 else relu
            nodes.append(
                helper.make_node(
                    "Conv",
                    [value, f"w{number}", f"b{number}"],
                    [conv],
                    conv,
                    pads=list((pads or {}).get(number, (1, 1, 1, 1))),
                )
            )
            nodes.append(helper.make_node("Relu", [conv], [relu], relu))
            value = relu
        graph = helper.make_graph(
            nodes,
            "chain",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, side, side])],
            [helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, [1, 4, side, side])],
            weights,
        )
        path = tmp_path / f"{name}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
        return path

    return make


class PlainSource:
    """A model of given tensors and values, which counts how often it was run."""

    notes: tuple[str, ...] = ()
    on_device = False
    batched = False
    halves = False

    def __init__(
        self,
        tensors: Sequence[Intermediate],
        outputs: Sequence[str],
        values: Mapping[str, np.ndarray] | None = None,
        *,
        kind: str = "onnx",
        label: str = "plain",
        on_device: bool = False,
    ) -> None:
        self.tensors = tuple(tensors)
        self.outputs = tuple(outputs)
        self.inputs = (TensorSpec("x", (1, 4)),)
        self.kind = kind
        self.label = label
        self.on_device = on_device
        self.asked: list[list[str]] = []
        self._values = values or {}

    def values(self, keys, inputs):
        self.asked.append(list(keys))
        return {key: self._values[key] for key in keys}

    def layer_of(self, key):
        return None


@pytest.fixture
def plain() -> type[PlainSource]:
    return PlainSource


@pytest.fixture
def tensor() -> Callable[..., Intermediate]:
    """Make a tensor whose name, layer and key are one."""

    def make(
        key: str, *parents: str, operator: str = "Conv", shape: tuple[int, ...] | None = None
    ) -> Intermediate:
        return Intermediate(key, key, key, operator, parents, shape)

    return make
