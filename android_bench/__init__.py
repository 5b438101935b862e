"""The C++ benchmark binary that runs on the device, and its build."""

from __future__ import annotations

from android_bench.binary import ABIS, Binary, BuildStep, Layers, missing_layers
from android_bench.build import build_binary, cached_binary
from android_bench.errors import BuildError

__all__ = [
    "ABIS",
    "Binary",
    "BuildError",
    "BuildStep",
    "Layers",
    "build_binary",
    "cached_binary",
    "missing_layers",
]
