"""A mix for an ARM CPU that is emulated: priced in instructions. Needs what `test_instructions.py` needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from android_bench import examine_emulator
from mobiledeploy.benchmark import Plan, benchmark
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert import QuantizeRequest, quantize_bundle
from mobiledeploy.device import Device, open_device
from mobiledeploy.mixed import Bound, DeviceMixer, read_plan
from mobiledeploy.phone import VirtualPhone
from mobiledeploy.report.plan_table import plan_notes

QEMU = shutil.which("qemu-aarch64")

BOUND = Bound(min_cosine=0.98)


@pytest.fixture(scope="module")
def device(arm64_binary: None):
    """An emulated Cortex-A76, which has fp16 arithmetic and dot products of int8."""
    if QEMU is None or examine_emulator(QEMU).plugin_api is None:
        pytest.skip("there is no qemu-aarch64 that takes plugins")
    with VirtualPhone(cpu="cortex-a76") as phone, open_device(phone.serial) as device:
        yield device


@pytest.fixture(scope="module")
def bundle(device: Device, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("emulated") / "b"
    request = QuantizeRequest(tiny_bundle.path, path, mixer=DeviceMixer(device, BOUND))
    return quantize_bundle(request)[0]


def test_prices_are_counts(bundle: Bundle) -> None:
    plan = read_plan(bundle.path)
    assert plan.document["unit"] == "million instructions"
    assert plan.document["device"]["emulated"]
    assert plan.document["device"]["int8_dot_product"]
    assert "M instructions" in plan_notes(plan)[1]
    wholes = plan.document["wholes"]
    assert wholes["mixed"] <= wholes["fp32"]
    for name in ("fp16", "int8"):
        if plan.document["figures"][name]["min_cosine"]["worse_end"] >= BOUND.min_cosine:
            assert wholes["mixed"] <= wholes[name]
    assert plan.document["figures"]["mixed"]["min_cosine"]["worse_end"] >= BOUND.min_cosine


def test_a_count_of_the_bundle_finds_what_the_plan_says(bundle: Bundle, device: Device) -> None:
    run = benchmark([bundle], device, Plan(precisions=("fp32", "mixed"), count_instructions=True))
    counted = {entry["precision"]: entry["instructions"]["median"] / 1e6 for entry in run.benchmarks}
    wholes = read_plan(bundle.path).document["wholes"]
    assert counted == pytest.approx({name: wholes[name] for name in counted}, rel=0.01)


def test_the_search_ends_where_it_ended(
    bundle: Bundle, tiny_bundle: Bundle, device: Device, tmp_path: Path
) -> None:
    """Counts are exact, so the same search makes the same files."""
    request = QuantizeRequest(tiny_bundle.path, tmp_path / "b", mixer=DeviceMixer(device, BOUND))
    again, _ = quantize_bundle(request)
    for name in ("mixed.param", "mixed.bin"):
        assert (again.path / name).read_bytes() == (bundle.path / name).read_bytes()
