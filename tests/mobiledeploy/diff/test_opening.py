from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mobiledeploy.diff import Opener, Options, parse_name
from mobiledeploy.diff.ncnn_source import HostSource
from mobiledeploy.diff.onnx_source import OnnxSource
from mobiledeploy.diff.torch_source import TorchSource
from mobiledeploy.errors import ConversionError, UsageError


@pytest.fixture
def opener(workshop: Path):
    """Make an opener for names; keyword arguments are its options."""

    def make(*names: object, **options: object) -> Opener:
        found = {"model": f"{workshop / 'net.py'}:Tiny", **options}
        parsed = [parse_name(str(name)) for name in names]
        opener = Opener(parsed, Options(**found), None, lambda *_: None)
        opener.sources = [opener.open(name) for name in parsed]
        return opener

    return make


def test_each_form_beside_a_bundle_that_says_the_shape(opener, workshop: Path, tiny_bundle) -> None:
    opened = opener(workshop / "net.pth", f"{tiny_bundle.path}:onnx", f"{tiny_bundle.path}:int8")
    assert [type(source) for source in opened.sources] == [TorchSource, OnnxSource, HostSource]
    assert [source.kind for source in opened.sources] == ["torch", "onnx", "int8"]
    assert {source.inputs[0].shape for source in opened.sources} == {(1, 3, 32, 32)}
    assert opened.sources[0].notes == ()
    inputs = opened.inputs([], opened.sources[0])
    np.testing.assert_array_equal(inputs.arrays[0], np.load(next(iter(tiny_bundle.samples().values())))[:1])


def test_the_shape_and_preprocessing_beside_the_network(opener, workshop: Path, tmp_path: Path) -> None:
    for name in ("net.py", "net.pth"):
        shutil.copy(workshop / name, tmp_path)
    (tmp_path / "net.toml").write_text('[network]\ninput_shape = "1x3x32x32"\n[preprocessing]\nscale = 1.0\n')
    opened = opener(tmp_path / "net.pth", model=f"{tmp_path / 'net.py'}:Tiny")
    picture = opened.inputs([workshop / "pictures/picture0.png"], opened.sources[0]).arrays[0]
    assert picture.shape == (1, 3, 32, 32)
    assert picture.max() > 200
    assert "noise" in opened.inputs([], opened.sources[0]).description


def test_a_bundle_of_another_checkpoint_is_noted(opener, workshop: Path, tiny_bundle, tmp_path: Path) -> None:
    weights = torch.load(workshop / "net.pth")
    torch.save(weights["state_dict"], tmp_path / "again.pth")
    opened = opener(tmp_path / "again.pth", f"{tiny_bundle.path}:fp32")
    [note] = opened.sources[0].notes
    assert note == f"{tiny_bundle.path} was converted from another file than {tmp_path / 'again.pth'}."


def test_what_is_missing_is_said(opener, workshop: Path, tiny_bundle) -> None:
    with pytest.raises(UsageError, match="its network is needed"):
        opener(workshop / "net.pth", model=None)
    with pytest.raises(UsageError, match="the input shape is not known"):
        opener(workshop / "net.pth")
    with pytest.raises(UsageError, match="has no variant 'fp8'"):
        opener(f"{tiny_bundle.path}:fp8")
    with pytest.raises(ConversionError, match=r"forward\(\) on input 1x4x32x32"):
        opener(workshop / "net.pth", input_shapes=((1, 4, 32, 32),))
