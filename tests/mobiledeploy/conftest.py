"""What many tests need: a small network as a user would bring it, the command line, a virtual phone, Google's adb."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import adbutils
import numpy as np
import pytest
from adb_shell.auth.keygen import keygen
from PIL import Image

from android_bench import cached_binary
from mobiledeploy.cache import cache_dir
from mobiledeploy.cli import main
from mobiledeploy.phone import VirtualPhone

NETWORK = '''
import torch
from torch import nn


class Tiny(nn.Module):
    """Two outputs, one of which is read again: what a matting network looks like, in small."""

    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12), nn.PReLU(12))
        self.body = nn.Sequential(nn.Conv2d(12, 12, 3, 1, 1, groups=12), nn.ReLU(), nn.Conv2d(12, 2, 1))
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)

    def forward(self, picture):
        seg = self.up(self.body(self.head(picture)))
        return seg, torch.sigmoid(seg[:, 1:2] - seg[:, 0:1])
'''

SIDE = 32


def make_checkpoint(path: Path, network_file: Path) -> Path:
    import torch

    from mobiledeploy.source.network import load_network

    torch.manual_seed(0)
    network = load_network(f"{network_file}:Tiny")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean)
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, path)
    return path


def make_pictures(folder: Path, count: int = 6) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        coarse = generator.integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(coarse).resize((40, 48), Image.Resampling.BICUBIC).save(
            folder / f"picture{number}.png"
        )
    return folder


@pytest.fixture(scope="session")
def arm64_binary() -> None:
    """Skip what runs on emulated phones where the binary for them is still to be built, which takes minutes."""
    if cached_binary("arm64-v8a", cache_dir=cache_dir()) is None and not os.environ.get(
        "MOBILEDEPLOY_TEST_ARM64"
    ):
        pytest.skip("no arm64 binary in the cache; MOBILEDEPLOY_TEST_ARM64=1 builds it")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.py, net.pth and pictures/."""
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "net.py").write_text(NETWORK)
    make_checkpoint(folder / "net.pth", folder / "net.py")
    make_pictures(folder / "pictures")
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(workshop: Path):
    """A bundle of the small network with all three precisions. Tests read it only."""
    from mobiledeploy.convert import convert

    bundle, _ = convert(tiny_request(workshop, workshop / "tiny"))
    return bundle


def tiny_request(workshop: Path, output: Path, **changes):
    from mobiledeploy.convert import ConvertRequest
    from mobiledeploy.preprocessing import Preprocessing

    values = {
        "source": workshop / "net.pth",
        "output": output,
        "name": "tiny",
        "precisions": ("fp32", "fp16", "int8"),
        "model": f"{workshop / 'net.py'}:Tiny",
        "input_shapes": ((1, 3, SIDE, SIDE),),
        "output_names": ("seg", "alpha"),
        "mask": "alpha",
        "preprocessing": Preprocessing((SIDE, SIDE), "bgr", (104.0, 112.0, 121.0), (1 / 255,) * 3),
        "calibration": workshop / "pictures",
    }
    return ConvertRequest(**(values | changes))


@pytest.fixture(scope="session")
def request_for(workshop: Path):
    """Make a ConvertRequest for the small network; keyword arguments change it."""
    return lambda output, **changes: tiny_request(workshop, output, **changes)


@pytest.fixture
def accuracy() -> dict:
    """The accuracy entry of a run, for a network without a mask."""
    return {
        "samples": {"source": "calibration", "images": 8, "count": 4},
        "outputs": {"alpha": {"max_abs": 1e-5, "mean_abs": 1e-6}, "seg": {"max_abs": 2e-5, "mean_abs": 1e-6}},
        "host_max_abs": {"alpha": 1e-6},
    }


@pytest.fixture
def counted() -> Callable[..., dict]:
    """Make the changes to an entry of `make_run` that a run has which counted instructions instead of times."""

    def make(median: int, **changes: object) -> dict:
        instructions = {
            "cpu": "cortex-a53",
            "emulator": "qemu-aarch64 version 7.2.22",
            "per_inference": [median, median + 20, median - 20],
            "median": median,
            "layers": [
                {"name": "conv", "type": "Convolution", "count": 3 * median // 4},
                {"name": "up", "type": "Interp", "count": median // 4},
            ],
        }
        return {"times_ms": [], "instructions": {**instructions, **changes}}

    return make


@pytest.fixture
def make_run(accuracy: dict):
    """Make a run as if from a phone: positional arguments are changes to its entries, one a configuration.

    Without other `launch` and `round`, all of an entry's `times_ms` are of one launch, one a round, 10 ms apart.
    `parameters` and `context` add to the document's.
    """
    from mobiledeploy.benchmark import Run

    base = {
        "model": "tiny",
        "precision": "fp32",
        "threads": 1,
        "size_bytes": 3_342_181,
        "times_ms": [4.0, 1.0, 2.0, 3.0, 5.0],
        "accuracy": accuracy | {"mask_iou": 0.99994},
        "affinity": {"requested": None, "obtained": "ff"},
        "options": {"fp16": False},
    }

    def entry(changes: dict) -> dict:
        made = base | changes
        made.setdefault("name", f"{made['precision']}-{made['threads']}t")
        count = len(made["times_ms"])
        launch = made.setdefault("launch", [0] * count)
        made.setdefault("round", list(range(count)))
        made.setdefault("started_ms", [10.0 * index for index in range(count)])
        made.setdefault(
            "launches",
            [
                {
                    "load_ms": 12.0 + number,
                    "first_ms": 7.0,
                    "process_ms": 30.0,
                    "warmup_ms": [6.0],
                    "position": 0,
                }
                for number in range(len(set(launch)))
            ],
        )
        return made

    def make(
        *entries: dict,
        label: str = "Pixel 8",
        kind: str = "usb",
        timed: bool = True,
        parameters: dict | None = None,
        context: dict | None = None,
    ) -> Run:
        return Run(
            {
                "schema": 2,
                "kind": "run",
                "context": {
                    "device": {"label": label, "kind": kind, "model": label},
                    "binary": {"sha256": "1" * 64, "ncnn": "1.0.20261020", "abi": "arm64-v8a"},
                    **(context or {}),
                },
                "parameters": {"timed": timed, "mode": "steady", **(parameters or {})},
                "benchmarks": [entry(changes) for changes in entries or [{}]],
            }
        )

    return make


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line in this process; returns exit code, stdout and stderr."""

    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(caught.value.code or 0), captured.out, captured.err)

    return run


def free_port() -> int:
    """A port on loopback outside those that adb takes for emulators'."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
        if not 5555 <= port <= 5585:
            return port


@pytest.fixture(scope="session")
def key_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an ADB key that adb-shell made."""
    home = tmp_path_factory.mktemp("home")
    (home / ".android").mkdir()
    keygen(str(home / ".android/adbkey"))
    return home


@pytest.fixture(scope="session", autouse=True)
def _environment(key_home: Path) -> Iterator[None]:
    """Keep the user's own keys, devices and servers out of the tests; the cache stays, with the built binary."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBILEDEPLOY_CACHE", str(cache_dir()))
        for name in ("ANDROID_SERIAL", "ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ADB_VENDOR_KEYS"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(key_home))
        # No server listens there, and no phone of a test can come to.
        patch.setenv("ANDROID_ADB_SERVER_PORT", "1")
        yield


@pytest.fixture
def phone() -> Iterator[VirtualPhone]:
    with VirtualPhone() as phone:
        yield phone


class GoogleAdb:
    """Google's adb program, with a server on a port of its own. Call it with its arguments."""

    def __init__(self, home: Path) -> None:
        try:
            self.program = adbutils.adb_path()
        except adbutils.AdbError as error:
            pytest.skip(f"no adb program for this platform: {error}")
        self.home = home
        self.port = free_port()

    def __call__(
        self, *arguments: str, stdin: bytes = b"", home: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home or self.home),
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "ADB_MDNS_AUTO_CONNECT": "0",
            "LC_ALL": "C.UTF-8",
        }
        return subprocess.run(
            [self.program, *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="session")
def adb_server(key_home: Path) -> Iterator[GoogleAdb]:
    """Google's adb and its server, which ends with the tests."""
    adb = GoogleAdb(key_home)
    adb("start-server")
    yield adb
    adb("kill-server")
