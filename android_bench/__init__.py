"""The C++ benchmark binary that runs on the device, and its build."""

from __future__ import annotations

from android_bench.binary import ABIS, Binary, BuildStep, Layers, missing_layers
from android_bench.build import build_binary, cached_binary
from android_bench.counter import Emulator, build_counter, examine_emulator
from android_bench.errors import BuildError
from android_bench.isa import BASE, ISAS, best_isa

__all__ = [
    "ABIS",
    "BASE",
    "ISAS",
    "Binary",
    "BuildError",
    "BuildStep",
    "Emulator",
    "Layers",
    "best_isa",
    "build_binary",
    "build_counter",
    "cached_binary",
    "examine_emulator",
    "missing_layers",
]
