"""The networks against the published definitions: sizes, keys, golden outputs, and onnxruntime."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import models
from models.dataset import tomllib
from models.seg_matting import SegMatting
from models.shuffle_seg_skipnet import bilinear_up2, channel_shuffle

# Parameters, and millions of multiply-adds in convolutions at the default input size, as published.
PUBLISHED = {
    "seg_matting": (829_225, 218.66),
    "mobilenet_dilate_unet": (2_378_217, 924.90),
    "shuffle_seg_skipnet": (918_731, 179.56),
    "esp_dense_seg": (240_777, 188.76),
    "residualdense_bisenet": (142_761, 224.28),
}


def description(network: str) -> dict:
    return tomllib.loads((Path(models.__file__).parent / f"{network}.toml").read_text())


def conv_macs(net: nn.Module, x: torch.Tensor) -> int:
    """Count the multiply-adds of all convolutions, without those of biases."""
    counts = []

    def count(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        positions = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        counts.append(layer.weight[0].numel() * positions.numel())

    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        net(x)
    return sum(counts)


def test_size_is_the_published_one(network, net, side):
    parameters, macs = PUBLISHED[network]
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert conv_macs(net, torch.zeros(1, 3, side, side)) / 1e6 == pytest.approx(macs, abs=0.01)


def test_state_dict_has_the_published_keys_in_order(net, published_shapes):
    own = {k: tuple(v.shape) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert list(own.items()) == list(published_shapes.items())


def test_outputs_equal_the_golden_ones(network, filled, waves, outputs_of, shared):
    golden = np.load(shared / "networks" / f"{network}.npz")
    outputs = outputs_of(filled, waves)
    assert len(outputs) == len(golden.files)
    for number, output in enumerate(outputs):
        np.testing.assert_allclose(output[..., ::4, ::4], golden[f"out{number}"], rtol=0, atol=1e-4)


def test_description_fits_the_network(network, net, outputs_of):
    about = description(network)
    shape = tuple(int(n) for n in about["network"]["input_shape"].split("x"))
    outputs = outputs_of(net, torch.zeros(shape))
    assert len(outputs) == len(about["network"]["outputs"])
    assert about["network"]["mask"] in about["network"]["outputs"]
    assert outputs[-1].shape == (1, 1, *shape[2:])
    assert about["preprocessing"] == {
        "color": "bgr", "mean": [104, 112, 121], "scale": 1 / 255, "interpolation": "bilinear"
    }  # fmt: skip


def test_other_sizes_and_batches_work_where_the_network_allows_it(network, net, outputs_of):
    if network == "residualdense_bisenet":
        pytest.skip("its pooling kernels are fixed for 512x512")
    for output in outputs_of(net, torch.zeros(2, 3, 64, 160)):
        assert output.shape[0] == 2
        assert output.shape[2:] == (64, 160)


def test_onnxruntime_agrees(network, filled, waves, outputs_of, tmp_path):
    names = description(network)["network"]["outputs"]
    path = tmp_path / "net.onnx"
    torch.onnx.export(filled, (waves,), path, input_names=["input"], output_names=names, dynamo=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == names
    for ours, theirs in zip(
        outputs_of(filled, waves), session.run(None, {"input": waves.numpy()}), strict=True
    ):
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4)


def test_foreign_checkpoint_gives_its_golden_outputs(shared, outputs_of):
    folder = shared / "erd_seg_matting"
    saved = torch.load(folder / "ckpt_lastest.pth", map_location="cpu", weights_only=True)
    net = SegMatting().eval()
    net.load_state_dict(saved["state_dict"], strict=True)
    golden = np.load(folder / "golden.npz")
    seg, alpha = outputs_of(net, torch.from_numpy(golden["input"]))
    np.testing.assert_allclose(seg, golden["seg"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(alpha, golden["alpha"], rtol=0, atol=1e-4)


def test_a_missing_key_is_refused():
    state = SegMatting().state_dict()
    del state["convF2.bias"]
    with pytest.raises(RuntimeError, match=r"Missing key.*convF2\.bias"):
        SegMatting().load_state_dict(state, strict=True)


def test_alpha_is_between_0_and_1_even_far_from_the_data(outputs_of):
    net = SegMatting().eval()
    _, alpha = outputs_of(net, 1000 * torch.randn(1, 3, 64, 64))
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_channel_shuffle_interleaves_the_groups():
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert channel_shuffle(x, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert channel_shuffle(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_transposed_convolution_starts_out_as_bilinear():
    x = torch.rand(1, 1, 8, 8)
    with torch.inference_mode():
        doubled = bilinear_up2()(x)
    expected = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    # The border differs: interpolation repeats it, the convolution sees zeros beyond.
    assert math.isclose(float((doubled - expected)[..., 1:-1, 1:-1].abs().max()), 0, abs_tol=1e-6)
