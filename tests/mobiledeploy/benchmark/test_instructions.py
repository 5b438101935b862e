"""Instructions counted on an emulated phone: the arm64 binary, QEMU and its plugin, over the real protocol.

Building that binary takes minutes, so it is tested where it is in the cache already, or where
MOBILEDEPLOY_TEST_ARM64=1 asks for it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from android_bench import examine_emulator
from mobiledeploy.benchmark import Plan, Run, benchmark, read_run, write_run
from mobiledeploy.benchmark.instructions import Counts, parse_marks, prepare_counter
from mobiledeploy.device import open_device
from mobiledeploy.errors import DeviceError, DeviceRunError, UsageError
from mobiledeploy.phone import VirtualPhone

QEMU = shutil.which("qemu-aarch64")


def test_marks_are_inferences_and_layers() -> None:
    text = "1 0 100\n3 0 150\n1 0 200\n3 0 251\n1 1 300\n3 1 310\n1 0 400\n2 0 410\n2 0 440\n3 0 445\n"
    assert parse_marks(text) == {0: Counts([50, 51], [10, 30]), 1: Counts([10])}


@pytest.mark.parametrize(
    "text", ["3 0 5\n", "2 0 5\n", "4 0 5\n", "1 0\n", "1 0 x\n", "1 0 1\n3 0 2\n3 0 3\n"]
)
def test_what_is_no_file_of_marks(text: str) -> None:
    with pytest.raises(DeviceRunError, match="can't be used"):
        parse_marks(text)


def test_several_threads_are_refused(tiny_bundle) -> None:
    with pytest.raises(UsageError, match="one thread"):
        Plan(threads=(1, 2), count_instructions=True).configurations([tiny_bundle])


def test_a_native_phone_is_refused_before_anything_is_built(tiny_bundle, tmp_path: Path) -> None:
    with (
        VirtualPhone(tmp_path / "phone") as phone,
        open_device(phone.serial) as device,
        pytest.raises(DeviceError, match="emulated ARM CPU") as caught,
    ):
        benchmark([tiny_bundle], device, Plan(count_instructions=True))
    assert "--cpu" in caught.value.hint


def test_an_emulator_without_plugins_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin/qemu-aarch64"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho qemu-aarch64 version 7.2.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with (
        VirtualPhone(tmp_path / "phone", cpu="cortex-a53") as phone,
        open_device(phone.serial) as device,
        pytest.raises(DeviceError, match="built without plugins") as caught,
    ):
        prepare_counter(device)
    assert str(program) in caught.value.message
    assert "qemu-user" in caught.value.hint


@pytest.fixture(scope="module")
def count(arm64_binary: None):
    """Count a bundle's instructions on a CPU."""
    if QEMU is None or examine_emulator(QEMU).plugin_api is None:
        pytest.skip("there is no qemu-aarch64 that takes plugins")

    def run(bundle, cpu: str, *precisions: str) -> Run:
        plan = Plan(precisions=precisions, count_instructions=True)
        with VirtualPhone(cpu=cpu) as phone, open_device(phone.serial) as device:
            return benchmark([bundle], device, plan)

    return run


@pytest.fixture(scope="module")
def run(count, tiny_bundle) -> Run:
    return count(tiny_bundle, "cortex-a53", "fp32", "int8")


def test_a_record_of_counts_and_no_times(run: Run, tiny_bundle, tmp_path: Path) -> None:
    write_run(run, tmp_path / "run.json")
    for entry in read_run(tmp_path / "run.json").benchmarks:
        counted = entry["instructions"]
        assert counted["cpu"] == "cortex-a53"
        assert counted["emulator"].startswith("qemu-aarch64 version ")
        assert len(counted["per_inference"]) == entry["accuracy"]["samples"]["count"]
        assert counted["median"] > 100_000
        assert max(counted["per_inference"]) - min(counted["per_inference"]) < 1e-3 * counted["median"]
        assert entry["times_ms"] == []


def test_the_layers_are_the_networks_and_add_up(run: Run) -> None:
    entry = run.benchmarks[0]
    layers = entry["instructions"]["layers"]
    assert {"Convolution", "ConvolutionDepthWise", "Interp"} <= {layer["type"] for layer in layers}
    assert all(layer["count"] > 0 for layer in layers)
    assert sum(layer["count"] for layer in layers) == pytest.approx(entry["instructions"]["median"], rel=0.1)


def test_counts_repeat(run: Run, count, tiny_bundle) -> None:
    again = count(tiny_bundle, "cortex-a53", "fp32")
    assert again.benchmarks[0]["instructions"]["median"] == pytest.approx(
        run.benchmarks[0]["instructions"]["median"],
        rel=2e-3,  # beside int8 its memory lies otherwise
    )


def test_the_shipped_network_takes_what_another_counter_found(
    count, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """97.6 million in fp32 by an independent plugin, of the same ncnn, before this was built.

    It counted the network with its average pooling, so the pass that makes that a convolution is left out here.

    That was QEMU's Cortex-A53 without the part number by which ncnn knows it, so with the kernels of an A72. Where
    ncnn finds the number it takes kernels with narrower loads (use_a53_a55_optimized_kernel), which are more.
    """
    from mobiledeploy.convert import ConvertRequest, convert
    from models.networks import FOLDER, description
    from ncnn_tools import passes

    pooled = tuple(apply for apply in passes.PASSES if apply is not passes.average_by_convolution)
    monkeypatch.setattr(passes, "PASSES", pooled)
    request = ConvertRequest(
        source=FOLDER / "checkpoints" / "seg_matting.pth",
        output=tmp_path / "seg_matting",
        name="seg_matting",
        precisions=("fp32",),
        model="models.seg_matting:SegMatting",
    )
    bundle, _ = convert(request.described_by(description("seg_matting")))
    a72, a53 = (
        count(bundle, cpu, "fp32").benchmarks[0]["instructions"]["median"]
        for cpu in ("cortex-a72", "cortex-a53")
    )
    assert a72 == pytest.approx(97.6e6, rel=0.02)
    assert 1.03 * a72 < a53 < 1.2 * a72
