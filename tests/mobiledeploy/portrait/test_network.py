"""The network on a virtual phone: the real binary, over the real protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobiledeploy.device import Device, open_device
from mobiledeploy.errors import UsageError
from mobiledeploy.phone import VirtualPhone
from mobiledeploy.portrait import DeviceNetwork, HostNetwork, Studio, portrait
from mobiledeploy.portrait.compose import grey


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    with VirtualPhone(tmp_path_factory.mktemp("phone")) as phone, open_device(phone.serial) as device:
        yield device


@pytest.fixture(scope="module")
def remote(red_bundle, device: Device, media) -> DeviceNetwork:
    return DeviceNetwork(red_bundle, "fp32", device, media.quiet)


def test_alphas_are_those_of_logits(network, media) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :, 0] = np.arange(64) * 4
    expected = 1 / (1 + np.exp(30 - 60 / 255 * picture[:, :, 0]))
    alphas = network.alphas([Image.fromarray(picture)] * 2)
    assert alphas.shape == (2, 64, 64)
    np.testing.assert_allclose(alphas, [expected] * 2, atol=1e-4)


def test_a_device_computes_what_this_computer_does(network, remote: DeviceNetwork, media) -> None:
    pictures = [Image.fromarray(media.scene(seed)).resize((90 + seed, 70)) for seed in range(3)]
    np.testing.assert_allclose(remote.alphas(pictures), network.alphas(pictures), atol=1e-3)


def test_a_video_by_way_of_a_device_in_batches(
    network, remote: DeviceNetwork, device: Device, media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "batch", 4)
    pictures = [media.block((200, 40, 40), (10, 60 + 8 * number, 150)) for number in range(10)]
    source = media.write_video(tmp_path / "a.mp4", pictures)
    listing = files_on(device)
    for name, used in (("device.mkv", remote), ("host.mkv", network)):
        assert portrait(source, tmp_path / name, Studio(used, grey), media.quiet).frames == 10
    frames, times, _ = media.read_video(tmp_path / "device.mkv")
    expected, expected_times, _ = media.read_video(tmp_path / "host.mkv")
    np.testing.assert_allclose(np.array(frames, int), np.array(expected, int), atol=3)
    assert times == expected_times
    assert files_on(device) == listing


def files_on(device: Device) -> list[str]:
    return sorted(
        device.run(["ls", "-A", "/data/local/tmp/mobiledeploy"], timeout_s=10).stdout.decode().split()
    )


def test_an_unknown_variant_is_refused(red_bundle) -> None:
    with pytest.raises(UsageError, match="fp8"):
        HostNetwork(red_bundle, "fp8")
