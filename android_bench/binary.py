"""What the build takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
"""Android's names of the instruction sets that can be built for."""

Layers = Literal["lean", "full"]
"""`lean`: what common mobile networks need (cmake/layers.cmake); `full`: all that ncnn has."""


@dataclass(frozen=True)
class BuildStep:
    """How far the build is: `stage` is "fetch" (bytes), "configure" or "compile" (files)."""

    stage: str
    done: int
    total: int


Progress = Callable[[BuildStep], None]


@dataclass(frozen=True)
class Binary:
    """A benchmark binary in the cache."""

    path: Path
    abi: str
    isa: str
    """Which CPUs of the ABI it is for: see `android_bench.isa`."""
    ncnn_version: str
    toolchain: str
    layers: frozenset[str]
    sha256: str


def missing_layers(binary: Binary, layer_types: Iterable[str]) -> list[str]:
    """Return the layer types, sorted and each once, that `binary` was built without."""
    return sorted(set(layer_types) - binary.layers)
