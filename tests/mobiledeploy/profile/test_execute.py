"""Profiles on a virtual phone: the real binary, over the real protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mobiledeploy.benchmark import Method, Plan
from mobiledeploy.device import Device, open_device
from mobiledeploy.errors import DeviceError, UsageError
from mobiledeploy.phone import VirtualPhone
from mobiledeploy.profile import Profile, profile, write_profile

QUICK = Method(launches=2, warmup_runs=1, max_warmup_ms=0, min_runs=10, min_time_ms=0)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    with VirtualPhone(tmp_path_factory.mktemp("phone")) as phone, open_device(phone.serial) as device:
        yield device


@pytest.fixture(scope="module")
def found(tiny_bundle, device: Device) -> Profile:
    return profile(tiny_bundle, device, Plan(precisions=("int8",), method=QUICK))


def test_the_layers_are_the_networks_own(found: Profile, tiny_bundle) -> None:
    lines = tiny_bundle.variant("int8").param.read_text().splitlines()[2:]
    expected = [line.split()[:2] for line in lines if not line.startswith("Input")]
    assert sorted([layer["type"], layer["name"]] for layer in found.layers) == sorted(expected)
    arithmetics = {layer["type"]: layer["arithmetic"] for layer in found.layers}
    assert arithmetics["Convolution"] == arithmetics["ConvolutionDepthWise"] == "int8"
    assert arithmetics["PReLU"] == "fp32"


def test_every_layer_has_its_work(found: Profile) -> None:
    by_type: dict[str, int] = {}
    for layer in found.layers:
        by_type[layer["type"]] = by_type.get(layer["type"], 0) + layer["macs"]
    # A 3x3 convolution from 3 to 12 channels on 16 x 16, and a 1x1 from 12 to 2; a depthwise 3x3 of 12.
    assert by_type["Convolution"] == 256 * (27 * 12 + 12 * 2)
    assert by_type["ConvolutionDepthWise"] == 256 * 9 * 12
    assert found.totals["convolution_macs"] == 256 * (27 * 12 + 12 * 2 + 9 * 12)
    assert found.totals["macs"] > found.totals["convolution_macs"]


def test_sum_and_whole_are_of_as_many_inferences(found: Profile) -> None:
    samples = found.document["samples"]
    assert samples["plain"]["launch"] == samples["profiled"]["launch"] == [0] * 5 + [1] * 5
    assert len(samples["profiled"]["times_ms"]) == 10
    assert found.totals["sum_ms"] > 0
    # No timed assertion: but a sum that misses half of the layers, or counts twice, would show.
    assert 0.5 < found.totals["layers_ms"] / found.totals["profiled_ms"] < 2


def test_the_roofline_is_measured_in_each_launch(found: Profile) -> None:
    roofline = found.document["roofline"]
    assert len(roofline["launches"]) == 2
    assert {"fp32", "int8"} <= roofline["peak_gmacs"].keys()
    assert [entry["bytes"] for entry in roofline["bandwidth_gbs"]] == sorted(
        entry["bytes"] for entry in roofline["launches"][0]["bandwidths"]
    )


def test_a_profile_is_written_whole(found: Profile, tmp_path: Path) -> None:
    path = tmp_path / "new" / "profile.json"
    write_profile(found, path)
    document = json.loads(path.read_text())
    assert (document["kind"], document["schema"]) == ("profile", 1)
    assert document["context"]["device"]["kind"] == "virtual"
    assert document["parameters"]["profile"] is True
    assert list(path.parent.iterdir()) == [path]


def test_a_profile_is_of_one_configuration(tiny_bundle, device: Device) -> None:
    with pytest.raises(UsageError, match="one configuration"):
        profile(tiny_bundle, device, Plan(method=QUICK))


def test_an_emulated_device_is_refused(tiny_bundle) -> None:
    with (
        VirtualPhone(abi="arm64-v8a", cpu="cortex-a53") as phone,
        open_device(phone.serial) as device,
        pytest.raises(DeviceError, match="emulated"),
    ):
        profile(tiny_bundle, device, Plan(precisions=("fp32",), method=QUICK))
