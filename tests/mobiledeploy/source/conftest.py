from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn


class TwoHeads(nn.Module):
    """A small network with what matters: convolution, batch norm, two outputs of different shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = torch.relu(self.bn(self.conv(image)))
        return features, torch.sigmoid(self.head(features))


def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give batch norms statistics that matter, so that leaving them out is noticed."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=generator)
            module.running_var = torch.rand(module.num_features, generator=generator) + 0.5
    return network


@pytest.fixture
def two_heads() -> nn.Module:
    torch.manual_seed(0)
    return randomized(TwoHeads())


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write dedented text to a path below tmp_path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


@pytest.fixture
def conv_model() -> Callable[..., onnx.ModelProto]:
    return _conv_model


def _conv_model(
    input_shape: list[int | str], *, opset: int = 18, external: str = "", dtype: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    """One 1x1 convolution, 3 to 2 channels, input `image`, output `mask`; weights inside or said to be outside."""
    weight = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3, 1, 1), "weight")
    if external:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in {"location": external, "offset": "0", "length": "24"}.items():
            weight.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight"], ["mask"])],
        "net",
        [helper.make_tensor_value_info("image", dtype, input_shape)],
        [helper.make_tensor_value_info("mask", dtype, None)],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
