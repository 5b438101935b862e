"""A small network written by hand, and the binary for this machine, built once into the user's cache."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest

from android_bench import Binary, best_isa, build_binary, cached_binary
from ncnn_tools.files import save
from ncnn_tools.graph import Graph

Run = Callable[..., "subprocess.CompletedProcess[str]"]

# Two inputs' worth of everything that the portrait networks are made of: a 3x3 convolution that
# winograd takes, a depthwise one, a fan-out, a 1x1 convolution, and two outputs.
PARAM = """7767517
9 11
Input            x       0 1 x 0=16 1=16 2=3
Convolution      conv    1 1 x a 0=16 1=3 4=1 5=1 6=432 9=1
Split            split   1 2 a a0 a1
ConvolutionDepthWise dw  1 1 a0 b 0=16 1=3 4=1 5=1 6=144 7=16
Convolution      conv3   1 1 a1 c 0=16 1=3 4=1 5=1 6=2304 9=1
BinaryOp         add     2 1 b c d 0=0
Convolution      score   1 1 d seg_raw 0=2 1=1 5=1 6=32
Split            fork    1 2 seg_raw seg s1
Sigmoid          alpha   1 1 s1 alpha
"""


def default_cache_dir() -> Path:
    override = os.environ.get("MOBILEDEPLOY_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_dir("mobiledeploy", appauthor=False))


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    return default_cache_dir()


@pytest.fixture(scope="session")
def binary(cache_dir: Path) -> Binary:
    abi = {"x86_64": "x86_64", "aarch64": "arm64-v8a"}.get(platform.machine())
    if platform.system() != "Linux" or abi is None:
        pytest.skip("the benchmark binary runs on Linux on x86-64 or arm64")
    return build_binary(abi, isa=best_isa(abi, cpu_features()), cache_dir=cache_dir)


def cpu_features() -> list[str]:
    """Return what this computer's CPU has, of x86 alone: only there is there more than one binary."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split() for line in lines if line.startswith("flags")), [])


@pytest.fixture(scope="session")
def arm64(cache_dir: Path) -> Binary:
    """The binary for arm64 phones, which qemu runs. Building it takes minutes, so that a cached one is taken."""
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    found = cached_binary("arm64-v8a", cache_dir=cache_dir)
    if found is None and os.environ.get("MOBILEDEPLOY_TEST_ARM64") == "1":
        found = build_binary("arm64-v8a", cache_dir=cache_dir)
    if found is None:
        pytest.skip("no arm64 binary in the cache; MOBILEDEPLOY_TEST_ARM64=1 builds it")
    return found


@pytest.fixture
def run_emulated(arm64: Binary, tmp_path: Path) -> Callable[..., dict[str, np.ndarray]]:
    """Run a graph on a CPU model; arrays have ncnn's shapes, without batch."""

    def run(
        graph: Graph, feeds: Mapping[str, np.ndarray], blobs: Sequence[str], cpu: str, *, fp16: bool
    ) -> dict[str, np.ndarray]:
        save(graph, tmp_path / "m.param", tmp_path / "m.bin")
        arguments = []
        for name, array in feeds.items():
            np.save(tmp_path / f"{name}.npy", array[None])
            arguments += ["--input", f"{name}={tmp_path / f'{name}.npy'}"]
        arguments += [argument for blob in blobs for argument in ("--output", blob)]
        arguments += ["--warmup", "0", "--min-runs", "1", "--min-time-ms", "0", "--config", "one"]
        arguments += ["--param", str(tmp_path / "m.param"), "--bin", str(tmp_path / "m.bin")]
        arguments += ["--fp16", str(int(fp16)), "--dump", str(tmp_path / "out")]
        command = ["qemu-aarch64", "-cpu", cpu, str(arm64.path), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        return {blob: np.load(tmp_path / "out" / f"one.{blob}.npy")[0] for blob in blobs}

    return run


@dataclass(frozen=True)
class Network:
    """A model on disk with inputs for it."""

    param: Path
    bin: Path
    input: Path
    samples: np.ndarray
    """float32, shape (3, 3, 16, 16)."""

    def arguments(self, *options: str) -> list[str]:
        """The whole command line for one configuration named `fp32`; `options` belong to it."""
        return [
            *("--input", f"x={self.input}", "--output", "seg", "--output", "alpha"),
            *("--warmup", "0", "--min-runs", "1", "--min-time-ms", "0"),
            *("--config", "fp32", "--param", str(self.param), "--bin", str(self.bin), "--fp16", "0"),
            *options,
        ]


def tagged(weights: np.ndarray) -> bytes:
    return np.uint32(0).tobytes() + weights.astype("<f4").tobytes()


def write_network(folder: Path, *, size: int = 16) -> Network:
    """Write PARAM with random weights, and three samples of `size` by `size` pixels."""
    random = np.random.default_rng(7)

    def conv(weights: int, outputs: int, fan_in: int) -> bytes:
        values = random.normal(0, fan_in**-0.5, weights)
        return tagged(values) + random.normal(0, 0.1, outputs).astype("<f4").tobytes()

    param, weights, inputs = folder / "net.param", folder / "net.bin", folder / "x.npy"
    param.write_text(PARAM.replace("0=16 1=16 2=3", f"0={size} 1={size} 2=3"))
    weights.write_bytes(conv(432, 16, 27) + conv(144, 16, 9) + conv(2304, 16, 144) + conv(32, 2, 16))
    samples = random.normal(0, 1, (3, 3, size, size)).astype(np.float32)
    np.save(inputs, samples)
    return Network(param, weights, inputs, samples)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return write_network(tmp_path)


@pytest.fixture
def bench(binary: Binary) -> Run:
    """Run the binary with arguments; its output is kept, its exit code not judged."""

    def run(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(binary.path), *arguments], capture_output=True, text=True, timeout=120, **options
        )

    return run
