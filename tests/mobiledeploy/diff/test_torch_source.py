from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mobiledeploy.convert import ConvertRequest
from mobiledeploy.convert.reference import load_trained
from mobiledeploy.diff.matching import match
from mobiledeploy.diff.onnx_source import OnnxSource
from mobiledeploy.diff.torch_source import TorchSource
from mobiledeploy.errors import ConversionError
from mobiledeploy.source.onnx_file import load_onnx


@pytest.fixture(scope="module")
def tiny(workshop: Path) -> nn.Module:
    return load_trained(
        ConvertRequest(workshop / "net.pth", workshop, "net", ("fp32",), model=f"{workshop / 'net.py'}:Tiny")
    )


@pytest.fixture(scope="module")
def source(tiny: nn.Module) -> TorchSource:
    return TorchSource("net.pth", tiny, ((1, 3, 32, 32),), ("seg", "alpha"))


def test_values_are_those_of_the_modules(tiny: nn.Module, source: TorchSource) -> None:
    """Beside hooks: what each module gives when the network runs as it is."""
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str):
        return lambda _module, _inputs, output: seen.update({name: output})

    hooks = [module.register_forward_hook(keep(name)) for name, module in tiny.named_modules() if name]
    picture = np.random.default_rng(3).normal(size=(1, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        seg, alpha = tiny(torch.from_numpy(picture))
    for hook in hooks:
        hook.remove()
    values = source.values([tensor.key for tensor in source.tensors], [picture])
    np.testing.assert_allclose(values["seg"], seg, atol=1e-6)
    np.testing.assert_allclose(values["alpha"], alpha, atol=1e-6)
    layers = {tensor.layer: tensor.key for tensor in source.tensors}
    leaves = ("head.0", "head.1", "head.2", "body.0", "body.1", "body.2")
    assert set(leaves) <= set(layers)
    for name in leaves:
        np.testing.assert_allclose(values[layers[name]], seen[name], atol=1e-6)


def test_it_matches_the_onnx_reference_by_name(source: TorchSource, tiny_bundle) -> None:
    reference = OnnxSource("onnx", load_onnx(tiny_bundle.onnx))
    matching = match(source, reference)
    assert {pair.by for pair in matching.pairs} == {"name"}
    assert matching.only_candidate == ()
    assert [pair.reference.key for pair in matching.pairs if pair.is_output] == ["seg", "alpha"]
    # The batch norm was folded into the convolution, whose own output is in the traced network alone.
    assert [tensor.layer for tensor in matching.only_reference] == ["head.0"]


class Random(nn.Module):
    """Not the same twice."""

    def forward(self, x):
        return x + torch.rand_like(x)


def test_a_network_that_is_not_what_was_traced_is_refused() -> None:
    with pytest.raises(ConversionError, match="traced by torch, the output 'output' differs"):
        TorchSource("random.pth", Random(), ((1, 4),), None)


class Views(nn.Module):
    """Several values of one operator, one output given as it came in, one operator in place."""

    def forward(self, x):
        first, second = torch.split(x, 2, dim=1)
        y = first * 2
        y.add_(1)
        return {"sum": y + second, "y": y}


def test_tuples_and_operators_in_place() -> None:
    source = TorchSource("views.pth", Views(), ((1, 4, 3, 3),), None)
    x = np.random.default_rng(0).normal(size=(1, 4, 3, 3)).astype(np.float32)
    values = source.values([tensor.key for tensor in source.tensors], [x])
    np.testing.assert_allclose(values["sum"], 2 * x[:, :2] + 1 + x[:, 2:], atol=1e-6)
    np.testing.assert_allclose(values["y"], 2 * x[:, :2] + 1, atol=1e-6)
    doubled = next(tensor for tensor in source.tensors if tensor.type == "mul")
    np.testing.assert_allclose(values[doubled.key], 2 * x[:, :2], atol=1e-6)
    parts = [tensor for tensor in source.tensors if tensor.type.startswith("split")]
    np.testing.assert_array_equal(values[parts[1].key], x[:, 2:])
    assert parts[1].parents == ("x",)
