"""The arm64 binary under qemu: it carries kernels for several CPUs and takes those that fit.

Building it takes minutes, so it is tested where it is in the cache already, or where
MOBILEDEPLOY_TEST_ARM64=1 asks for it.
"""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from android_bench import build_binary, cached_binary

pytestmark = pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="qemu-aarch64 is not installed")


@pytest.fixture(scope="module")
def arm64(cache_dir):
    found = cached_binary("arm64-v8a", cache_dir=cache_dir)
    if found is None and os.environ.get("MOBILEDEPLOY_TEST_ARM64") == "1":
        found = build_binary("arm64-v8a", cache_dir=cache_dir)
    if found is None:
        pytest.skip("no arm64 binary in the cache; MOBILEDEPLOY_TEST_ARM64=1 builds it")
    return found


@pytest.fixture
def run_on(arm64, network, tmp_path):
    """Run the network on a CPU model, with and without fp16; return the document and the outputs."""

    def run(cpu):
        folder = tmp_path / cpu
        fp16 = ["--config", "fp16", "--param", str(network.param), "--bin", str(network.bin), "--fp16", "1"]
        arguments = [*network.arguments(), *fp16, "--dump", str(folder)]
        command = ["qemu-aarch64", "-cpu", cpu, str(arm64.path), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        outputs = {path.name.removesuffix(".npy"): np.load(path) for path in folder.iterdir()}
        return json.loads(result.stdout), outputs

    return run


@pytest.mark.parametrize(
    ("cpu", "features"),
    [
        ("cortex-a53", ["asimd"]),
        ("cortex-a76", ["asimd", "asimdhp", "asimddp"]),
        ("max", ["asimd", "asimdhp", "asimddp", "i8mm"]),
    ],
)
def test_the_kernels_fit_the_cpu(run_on, cpu, features):
    run, outputs = run_on(cpu)
    assert run["cpu"]["features"] == features
    assert run["binary"]["abi"] == "arm64-v8a"
    # fp16 arithmetic shows in the outputs, so where the CPU has it the two differ, and only there.
    difference = np.abs(outputs["fp16.seg"] - outputs["fp32.seg"]).max()
    assert (difference > 0) == ("asimdhp" in features)
    assert difference < 2e-2


def test_fp32_agrees_between_cpus_and_with_this_machine(run_on, bench, network, tmp_path):
    folder = tmp_path / "here"
    assert bench(*network.arguments(), "--dump", str(folder)).returncode == 0
    here = np.load(folder / "fp32.alpha.npy")
    for cpu in ("cortex-a53", "cortex-a76"):
        np.testing.assert_allclose(run_on(cpu)[1]["fp32.alpha"], here, atol=1e-4)
