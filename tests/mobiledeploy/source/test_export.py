from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.source.checkpoint import load_state_dict
from mobiledeploy.source.export import OPSET, check_onnx, export_onnx, input_specs
from mobiledeploy.source.network import fit, load_network

REPOSITORY = Path(__file__).resolve().parents[3]
SHARED = REPOSITORY.parent / "shared"
SHAPE = [(1, 3, 8, 12)]


def interface(path: Path) -> tuple[list[str], dict[str, list[int]]]:
    session = onnxruntime.InferenceSession(str(path))
    return [i.name for i in session.get_inputs()], {o.name: o.shape for o in session.get_outputs()}


class Summed(nn.Module):
    def forward(self, image: torch.Tensor, hint: torch.Tensor, gain: float = 2.0) -> torch.Tensor:
        return image * gain + hint


class AsDictionary(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor | None]:
        return OrderedDict(seg=x + 1, alpha=x.mean(1, keepdim=True))


class Nested(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        return x + 1, [x * 2, x.sum(1)]


class Variadic(nn.Module):
    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return tensors[0] + tensors[1]


class ByValue(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.sum() > 0 else x


class WrongShape(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(7, 7)


class Unsupported(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x)


class Noisy(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand(x.shape)


class NotANumber(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(x)


class NoTensor(nn.Module):
    def forward(self, x: torch.Tensor) -> str:
        return "done"


def test_names_shapes_and_values(two_heads: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    two_heads.train()
    export_onnx(two_heads, SHAPE, path)
    assert not two_heads.training
    assert interface(path) == (["image"], {"output0": [1, 4, 8, 12], "output1": [1, 1, 8, 12]})
    assert check_onnx(path, two_heads, SHAPE) < 1e-5
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    # Independently of check_onnx: torch and onnxruntime side by side.
    image = np.random.default_rng(7).random((1, 3, 8, 12), dtype=np.float32)
    results = onnxruntime.InferenceSession(str(path)).run(None, {"image": image})
    with torch.no_grad():
        expected = two_heads(torch.from_numpy(image))
    for result, reference in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, reference.numpy(), atol=1e-5)


def test_exporting_is_silent_repeatable_and_tells_nothing_of_this_computer(
    two_heads: nn.Module, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        export_onnx(two_heads, SHAPE, tmp_path / name, output_names=["seg", "alpha"])
    assert capfd.readouterr() == ("", "")
    content = (tmp_path / "a").read_bytes()
    assert content == (tmp_path / "b").read_bytes()
    assert str(Path.home()).encode() + b"/" not in content
    assert b".py" not in content
    model = onnx.load(tmp_path / "a")
    onnx.checker.check_model(model, full_check=True)
    assert {opset.domain: opset.version for opset in model.opset_import}[""] == OPSET
    assert list(interface(tmp_path / "a")[1]) == ["seg", "alpha"]


def test_several_inputs_are_named_as_in_forward(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    export_onnx(Summed(), [(1, 3, 4, 4), (1, 1, 4, 4)], path)
    assert interface(path) == (["image", "hint"], {"output": [1, 3, 4, 4]})
    assert check_onnx(path, Summed(), [(1, 3, 4, 4), (1, 1, 4, 4)]) < 1e-6


@pytest.mark.parametrize(
    ("network", "shapes", "outputs"),
    [
        (AsDictionary(), SHAPE, ["seg", "alpha"]),
        (Nested(), SHAPE, ["output0", "output1", "output2"]),
        (Variadic(), SHAPE * 2, ["output"]),
    ],
)
def test_kinds_of_forward(
    network: nn.Module, shapes: list[tuple[int, ...]], outputs: list[str], tmp_path: Path
) -> None:
    export_onnx(network, shapes, tmp_path / "net.onnx")
    assert list(interface(tmp_path / "net.onnx")[1]) == outputs
    check_onnx(tmp_path / "net.onnx", network, shapes)


def test_variadic_inputs_are_numbered() -> None:
    assert [spec.name for spec in input_specs(Variadic(), SHAPE * 2)] == ["input0", "input1"]
    assert [spec.name for spec in input_specs(Variadic(), SHAPE)] == ["input"]


@pytest.mark.parametrize(
    ("network", "shapes", "names", "message"),
    [
        (Summed(), SHAPE, None, r"1 input shapes given; forward\(\) takes \(image, hint, gain\)"),
        (Nested(), SHAPE * 2, None, "2 input shapes given"),
        (Nested(), [], None, "0 input shapes given"),
        (Nested(), [(1, 0, 8, 8)], None, "at least 1"),
        (Nested(), [()], None, "at least 1"),
        (Nested(), SHAPE, ["a", "b"], "2 output names given"),
        (Nested(), SHAPE, ["a", "b", "b"], "must differ"),
        (Nested(), SHAPE, ["a", "b", "x"], "must differ"),
        (Nested(), SHAPE, ["a", "b", ""], "not be empty"),
    ],
)
def test_requests_that_do_not_fit(
    network: nn.Module, shapes: list[tuple[int, ...]], names: list[str] | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        export_onnx(network, shapes, tmp_path / "net.onnx", output_names=names)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (ByValue(), r"can't be exported.*data-dependent.*test_export\.py, line \d+: return x \+ 1"),
        (
            WrongShape(),
            r"forward\(\) on input 1x3x8x12 failed: RuntimeError: shape '\[7, 7\]'.*x\.reshape\(7, 7\)",
        ),
        (Unsupported(), "can't be exported.*No ONNX function found.*bessel_j0"),
        (NoTensor(), "must return tensors, not str"),
    ],
)
def test_what_can_not_be_exported_is_told_in_a_line(
    network: nn.Module, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        export_onnx(network, SHAPE, tmp_path / "net.onnx")
    assert len(caught.value.message.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_check_finds_other_weights(two_heads: nn.Module, tmp_path: Path) -> None:
    export_onnx(two_heads, SHAPE, tmp_path / "net.onnx")
    with torch.no_grad():
        two_heads.get_parameter("head.bias").add_(0.01)
    with pytest.raises(ConversionError, match="'output1' differs from torch's by"):
        check_onnx(tmp_path / "net.onnx", two_heads, SHAPE)
    assert 1e-4 < check_onnx(tmp_path / "net.onnx", two_heads, SHAPE, tolerance=0.1) < 0.01


def test_check_finds_randomness(tmp_path: Path) -> None:
    export_onnx(Noisy(), SHAPE, tmp_path / "net.onnx")
    with pytest.raises(ConversionError, match="differs from torch's") as caught:
        check_onnx(tmp_path / "net.onnx", Noisy(), SHAPE)
    assert "randomness" in caught.value.hint


def test_check_refuses_a_network_that_gives_nan(tmp_path: Path) -> None:
    export_onnx(NotANumber(), SHAPE, tmp_path / "net.onnx")
    with pytest.raises(ConversionError, match="gives NaN or infinity"):
        check_onnx(tmp_path / "net.onnx", NotANumber(), SHAPE)


def test_check_of_another_network(two_heads: nn.Module, tmp_path: Path) -> None:
    export_onnx(two_heads, SHAPE, tmp_path / "net.onnx")
    with pytest.raises(ConversionError, match="can't run"):
        check_onnx(tmp_path / "net.onnx", Nested(), SHAPE)


def test_trained_portrait_network(tmp_path: Path) -> None:
    folder = SHARED / "data/erd_seg_matting"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/erd_seg_matting")
    network = load_network(f"{REPOSITORY / 'models/seg_matting.py'}:SegMatting")
    fit(network, load_state_dict(folder / "ckpt_lastest.pth"))
    shape = [(1, 3, 256, 256)]
    export_onnx(network, shape, tmp_path / "net.onnx", output_names=["seg", "alpha"])
    assert check_onnx(tmp_path / "net.onnx", network, shape) <= 1e-4
