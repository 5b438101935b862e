"""The arm64 binary under qemu: it carries kernels for several CPUs and takes those that fit.

Building it takes minutes, so it is tested where it is in the cache already, or where
MOBILEDEPLOY_TEST_ARM64=1 asks for it.
"""

import json
import re
import subprocess

import numpy as np
import pytest


@pytest.fixture
def run_on(arm64, network, tmp_path):
    """Run the network on a CPU model, in fp32, fp16, and fp16 without winograd; return document and outputs."""

    def run(cpu):
        folder = tmp_path / cpu
        files = ["--param", str(network.param), "--bin", str(network.bin)]
        fp16 = ["--config", "fp16", *files, "--config", "direct", *files, "--winograd", "0"]
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
    largest = np.abs(outputs["fp32.seg"]).max()
    assert difference < 0.05 * largest
    # Winograd's transforms add up values far larger than the result, which costs fp16 most of that.
    assert np.abs(outputs["direct.seg"] - outputs["fp32.seg"]).max() < 0.003 * largest


def test_fp32_agrees_between_cpus_and_with_this_machine(run_on, bench, network, tmp_path):
    folder = tmp_path / "here"
    assert bench(*network.arguments(), "--dump", str(folder)).returncode == 0
    here = np.load(folder / "fp32.alpha.npy")
    for cpu in ("cortex-a53", "cortex-a76"):
        np.testing.assert_allclose(run_on(cpu)[1]["fp32.alpha"], here, atol=1e-4)


# (mask, value) of the A64 encodings that only these kernels hold; Arm Architecture Reference Manual,
# C7.2: FMLA (by element and vector, half precision), SDOT (by element and vector), SMMLA (vector).
ENCODINGS = {
    "asimdhp": [(0xBFC0F400, 0x0F001000), (0xBFE0FC00, 0x0E400C00)],
    "asimddp": [(0xBFC0F400, 0x0F80E000), (0xBFE0FC00, 0x0E809400)],
    "i8mm": [(0xFFE0FC00, 0x4E80A400)],
}


@pytest.mark.parametrize(
    ("cpu", "kernels"),
    [("cortex-a53", set()), ("cortex-a76", {"asimdhp", "asimddp"}), ("max", {"asimdhp", "i8mm"})],
)
def test_the_kernels_really_run(arm64, network, tmp_path, cpu, kernels):
    # The 3x3 convolution's weights, quantized as they load; scales for 16 outputs and the input follow.
    network.param.write_text(
        "7767517\n4 5\nInput x 0 1 x 0=16 1=16 2=3\n"
        "Convolution conv 1 1 x a 0=16 1=3 4=1 5=1 6=432\nSplit split 1 2 a seg b\n"
        "Convolution int8 1 1 b alpha 0=16 1=1 5=1 6=256 8=2\n"
    )
    first = network.bin.read_bytes()[: 4 + 4 * (432 + 16)]
    random = np.random.default_rng(5)
    values = [random.normal(size=256), np.zeros(16), np.full(16, 40.0), np.full(1, 40.0)]
    network.bin.write_bytes(first + bytes(4) + b"".join(value.astype("<f4").tobytes() for value in values))
    arguments = [*network.arguments("--fp16", "1"), "--min-runs", "0"]
    log = tmp_path / "asm.log"
    command = ["qemu-aarch64", "-cpu", cpu, "-d", "in_asm", "-D", str(log), str(arm64.path), *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    words = {
        int(word, 16)
        for word in re.findall(r"^0x[0-9a-f]+:\s+([0-9a-f]{8})\b", log.read_text(), re.MULTILINE)
    }
    assert len(words) > 1000
    found = {
        name
        for name, kernel in ENCODINGS.items()
        if any(w & mask == value for w in words for mask, value in kernel)
    }
    assert found >= kernels
    assert bool(found) == bool(kernels)


@pytest.mark.parametrize(
    ("cpu", "instructions"),
    [
        ("cortex-a53", {"fp32": "fmla", "int8": "smlal"}),
        ("cortex-a76", {"fp32": "fmla", "fp16": "fmla", "int8": "sdot"}),
        ("max", {"fp32": "fmla", "fp16": "fmla", "int8": "smmla"}),
    ],
)
def test_the_roofline_is_of_the_instructions_that_the_cpu_has(arm64, cpu, instructions):
    # The binary itself checks what each loop has computed; how fast it is means nothing here.
    command = ["qemu-aarch64", "-cpu", cpu, str(arm64.path), "--roofline", "1"]
    result = subprocess.run(command, check=True, capture_output=True, timeout=300)
    peaks = json.loads(result.stdout)["peaks"]
    assert {peak["arithmetic"]: peak["instruction"] for peak in peaks} == instructions
