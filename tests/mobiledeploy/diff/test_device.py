"""Variants on virtual phones: the real binary over the real protocol, of this computer's kind and emulated."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mobiledeploy.benchmark import launch
from mobiledeploy.convert import ConvertRequest, convert
from mobiledeploy.device import Device, open_device
from mobiledeploy.diff import compare
from mobiledeploy.diff.inputs import noise_inputs, sample_inputs
from mobiledeploy.diff.ncnn_source import DeviceSource, HostSource
from mobiledeploy.diff.onnx_source import OnnxSource
from mobiledeploy.errors import DeviceError, DeviceRunError
from mobiledeploy.phone import VirtualPhone
from mobiledeploy.phone.faults import Cut, Kill
from mobiledeploy.source.onnx_file import load_onnx
from ncnn_tools.files import load, save
from ncnn_tools.half_precision import store_as_fp16

FOLDER = "data/local/tmp/mobiledeploy"


def quiet(_step: str, _done: int, _total: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "RECONNECT_S", 1.5)
    monkeypatch.setattr(launch, "RECONNECT_EVERY_S", 0.1)
    monkeypatch.setattr("mobiledeploy.device.direct._CONNECT_S", 1.5)


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[VirtualPhone]:
    with VirtualPhone(tmp_path / "phone") as phone:
        yield phone


@pytest.fixture
def device(phone: VirtualPhone) -> Iterator[Device]:
    with open_device(phone.serial) as device:
        yield device


def left_on(phone: VirtualPhone) -> list[str]:
    """What is there beside binary and model."""
    names = [path.name for path in (phone.root / FOLDER).iterdir()]
    return [name for name in names if not name.endswith(("android_bench", ".param", ".bin"))]


def test_every_blob_of_a_variant(tiny_bundle, device: Device, phone: VirtualPhone) -> None:
    """Consumed ones, those behind a Split and those of several readers too: as the wheel computes them here."""
    remote = DeviceSource("remote", tiny_bundle, "fp32", device, quiet)
    host = HostSource("host", tiny_bundle, "fp32")
    comparison = compare(host, remote, sample_inputs(tiny_bundle), everything=True)
    assert len(comparison.rows) == len(host.tensors)
    assert comparison.passed
    assert max(row.figures.relative for row in comparison.rows) < 1e-5
    assert left_on(phone) == []


@pytest.fixture
def wrong_reference(tiny_bundle, tmp_path: Path) -> OnnxSource:
    """The bundle's reference, but that its depthwise convolution has another bias."""
    model = onnx.load(tiny_bundle.onnx)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    depthwise = next(
        node for node in model.graph.node if any(a.name == "group" and a.i == 12 for a in node.attribute)
    )
    bias = weights[depthwise.input[2]]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.5), bias.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    return OnnxSource("wrong", load_onnx(tmp_path / "wrong.onnx"))


def test_a_wrong_layer_is_searched_for_on_the_device(
    tiny_bundle, wrong_reference: OnnxSource, device: Device, phone: VirtualPhone
) -> None:
    remote = DeviceSource("remote", tiny_bundle, "fp32", device, quiet)
    comparison = compare(wrong_reference, remote, sample_inputs(tiny_bundle))
    first = comparison.first_bad
    assert first.pair.candidate.type == "ConvolutionDepthWise"
    assert not comparison.complete
    assert left_on(phone) == []


def test_a_cable_that_is_put_back_at_once(tiny_bundle, device: Device, phone: VirtualPhone) -> None:
    remote = DeviceSource("remote", tiny_bundle, "fp32", device, quiet)
    inputs = sample_inputs(tiny_bundle).arrays
    expected = remote.values(["alpha"], inputs)
    phone.inject(Cut(bytes=100_000))
    values = remote.values(["alpha"], inputs)
    phone.heal()
    np.testing.assert_array_equal(values["alpha"], expected["alpha"])
    assert left_on(phone) == []


@pytest.mark.parametrize(
    ("fault", "error", "code"), [(Cut(down=math.inf), DeviceError, 3), (Kill(), DeviceRunError, 5)]
)
def test_a_device_that_is_lost(
    tiny_bundle, device: Device, phone: VirtualPhone, fault: Cut | Kill, error: type[Exception], code: int
) -> None:
    remote = DeviceSource("remote", tiny_bundle, "fp32", device, quiet)
    inputs = sample_inputs(tiny_bundle).arrays
    remote.values(["seg"], inputs)
    phone.inject(fault)
    with pytest.raises(error) as caught:
        remote.values(["alpha"], inputs)
    assert caught.value.exit_code == code
    phone.heal()
    with open_device(phone.serial) as again, again.exclusive():
        assert left_on(phone) == []


def test_a_search_that_is_cut_off_says_how_far_it_came(
    tiny_bundle, wrong_reference: OnnxSource, device: Device, phone: VirtualPhone
) -> None:
    remote = DeviceSource("remote", tiny_bundle, "fp32", device, quiet)

    def pull_the_cable(step: str, _done: int, _total: int) -> None:
        if step.startswith("searching: 2 of"):
            phone.inject(Cut(down=math.inf))

    with pytest.raises(DeviceError) as caught:
        compare(wrong_reference, remote, sample_inputs(tiny_bundle), progress=pull_the_cable)
    assert caught.value.exit_code == 3
    assert "By then 2 tensors were measured; the first bad one was 'seg" in caught.value.hint
    phone.heal()
    with open_device(phone.serial) as again, again.exclusive():
        assert left_on(phone) == []


@pytest.fixture(scope="module")
def emulated(arm64_binary: None) -> Iterator[Device]:
    """A Cortex-A76, whose fp16 arithmetic ncnn uses."""
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    with VirtualPhone(cpu="cortex-a76") as phone, open_device(phone.serial) as device:
        yield device


@pytest.fixture
def scaled_bundle(make_onnx, tmp_path: Path):
    """A chain of convolutions of which the second makes values so many times larger, and the third smaller again."""

    def make(factor: float):
        path = make_onnx("large")
        model = onnx.load(path)
        for tensor in model.graph.initializer:
            if (number := tensor.name[1:]) in "12":
                by = np.float32(factor if number == "1" else 1 / factor)
                values = numpy_helper.to_array(tensor)
                scaled = values * by if tensor.name[0] == "w" or number == "1" else values
                tensor.CopyFrom(numpy_helper.from_array(scaled, tensor.name))
        onnx.save(model, path)
        request = ConvertRequest(path, tmp_path / f"bundle{factor:g}", "large", ("fp32", "fp16"))
        return convert(request)[0]

    return make


def unmasked(bundle):
    """A bundle whose fp16 variant is as it would be if convert did not look for what fp16 breaks."""
    fp32, fp16 = (bundle.variant(precision) for precision in ("fp32", "fp16"))
    save(store_as_fp16(load(fp32.param, fp32.bin)), fp16.param, fp16.bin)
    return bundle


def test_an_fp16_overflow_is_named(emulated: Device, scaled_bundle) -> None:
    bundle = unmasked(scaled_bundle(1e5))
    remote = DeviceSource("remote", bundle, "fp16", emulated, quiet)
    comparison = compare(HostSource("host", bundle, "fp32"), remote, noise_inputs(remote.inputs))
    first = comparison.first_bad
    assert first.pair.reference.key == "relu1"
    assert first.cause.startswith("fp16 overflow: the reference reaches ")
    assert "fp16 ends at 65504" in first.cause


def test_what_convert_masks_is_right_on_the_device(emulated: Device, scaled_bundle) -> None:
    bundle = scaled_bundle(1e5)
    assert [
        layer.type for layer in load(bundle.variant("fp16").param, bundle.variant("fp16").bin).layers
    ] == [*("Input", "Convolution", "Dropout", "Convolution", "Convolution")]
    remote = DeviceSource("remote", bundle, "fp16", emulated, quiet)
    host = HostSource("host", bundle, "fp32")
    comparison = compare(host, remote, noise_inputs(remote.inputs), everything=True)
    assert len(comparison.rows) == len(host.tensors)
    assert comparison.passed


def test_fp16_arithmetic_shows_and_is_within_its_bound(emulated: Device, scaled_bundle) -> None:
    bundle = scaled_bundle(1)
    reference = HostSource("host", bundle, "fp32")
    inputs = noise_inputs(reference.inputs)
    errors = {}
    for precision in ("fp32", "fp16"):
        remote = DeviceSource("remote", bundle, precision, emulated, quiet)
        comparison = compare(reference, remote, inputs, everything=True)
        assert comparison.passed
        errors[precision] = max(row.figures.relative for row in comparison.rows)
    assert errors["fp32"] < 1e-5
    assert 1e-4 < errors["fp16"] < 2e-2


def test_the_same_on_a_cpu_without_fp16(scaled_bundle, emulated: Device) -> None:
    """A Cortex-A53 computes fp16 variants in fp32, which does not overflow, and it is said. The weights are halves."""
    bundle = unmasked(scaled_bundle(1e5))
    with VirtualPhone(cpu="cortex-a53") as phone, open_device(phone.serial) as device:
        remote = DeviceSource("remote", bundle, "fp16", device, quiet)
        comparison = compare(HostSource("host", bundle, "fp32"), remote, noise_inputs(remote.inputs))
    first = comparison.first_bad
    assert first.pair.reference.key == "y"
    assert first.cause.startswith("fp16 weights: those of the layer are at most ")
    assert "the device's CPU has no fp16 arithmetic" in " ".join(comparison.notes)
